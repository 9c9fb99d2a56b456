"""The fence beside the data: a writer with a smaller number than one seen before is refused.

`ledger.py` is the fence in an SQL database, through the few operations of `sql_session.py`; `publications.py` keeps the
records of publishes, `as_published.py` tells whether a table is still what was published, `stuck.py` says why an undo
stops and asks a person. `eviction.py` ends a stopped writer on this host that would block its successor.

Not here: the fence of a file (`files/file_log.py`), or the sessions at a PostgreSQL server (`postgresql/eviction.py`).
"""
