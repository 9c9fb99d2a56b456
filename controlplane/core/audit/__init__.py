"""The audit log as mathematics: leaves, the Merkle tree and its tiles, signed heads, verification.

The command line verifies with these same functions. Not here: the log of a running control plane (``service.audit``),
the signing key (``identity.audit_key``).
"""
