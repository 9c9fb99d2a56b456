"""What ties the process to its host: the service manager, the lock on the state directory, the names in it.

Not here: what an administrator does with the state (``admin``), probes that others call (``rpc.http_probes``).
"""
