"""The rule of two persons: which effects need an approval, and what an approval lets pass.

Not here: who may call what (``controlplane.identity.roles``), the stored approvals (``service.access``).
"""
