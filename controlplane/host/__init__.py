"""What ties the process to its host: the service manager's protocol, and the lock on the state directory.

Not here: what an administrator does with the state (``admin``), probes that others call (``rpc.http_probes``).
"""
