"""`haulier audit`: verify the audit log from outside, or export it.

Not here: the proofs (``core.audit``).
"""
