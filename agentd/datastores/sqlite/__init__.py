"""SQLite files as datastores.

`datastore.py` is the engine and `session.py` its connection; the other files are its definitions, its failures in
words, tables, values, broken UTF-8, and the guessing of column types for `inspect`.

Not here: the fence that all SQL engines share (`agentd.datastores.fences`).
"""
