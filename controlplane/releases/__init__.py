"""Releases of the agent: built, signed by keys that are kept offline, published, and served to hosts.

The control plane holds no signing key. It is a director: it chooses among what was signed, and hosts check that.
"""
