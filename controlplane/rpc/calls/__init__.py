"""What every call has: who is calling, what is demanded of a request, and which status each error becomes.

Not here: what is checked before a call reaches its service (``rpc.interceptors``).
"""
