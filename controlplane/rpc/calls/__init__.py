"""What every call has: who is calling, and what is demanded of a request.

Not here: what is checked before a call reaches its service (``rpc.interceptors``).
"""
