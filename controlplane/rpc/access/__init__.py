"""The access service: identities, operators, approvals, the authority; and what a role over some owners may see.

Not here: who may call which method (``controlplane.identity.roles``).
"""
