"""YAML text into plain values, and findings: what is wrong, where, and how to mend it.

Not here: what a value means (``manifests.kinds``).
"""
