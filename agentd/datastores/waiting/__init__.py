"""Waiting until others let go of a destination: in short tries, for a bounded time, saying for whom.

`patience.py` is the waiting, `file_holders.py` names the processes that hold locks on a file.

Not here: PostgreSQL's own locks (`postgresql/locks.py`), or ending a holder (`fences/eviction.py`).
"""
