"""The audit service: head, keys and entries of the audit log, for whoever checks it.

Not here: proofs (``core.audit``).
"""
