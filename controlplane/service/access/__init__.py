"""Who may speak and act: identities of agents, joining, operators, approvals, owners, the authority, rate limits.

Not here: certificates and tokens themselves (``controlplane.identity``), the checks on each call
(``rpc.interceptors``).
"""
