"""SQLite files as datastores.

`engine.py` declares it, `place.py` says where a datastore is. `datastore.py` is the engine and `session.py` its
connection; the other files are its definitions, its failures in words, tables, values, broken UTF-8, and the guessing
of column types for `inspect`.

Not here: the fence that all SQL engines share (`agentd.datastores.fences`).
"""
