"""The audit log of a running control plane: sealed, checked, witnessed by agents, queried, and archived in time.

Not here: the tree and its proofs (``core.audit``), events as people read them (``service.events``).
"""
