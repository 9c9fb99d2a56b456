"""Datastores: one file per engine, each a source and a fenced destination behind the port in `port.py`.

Here is everything that touches somebody's data: reading it exactly, making it visible at once or not at all, and
refusing a stale writer *at the destination*. `ledger.py` (SQL engines) and `file_log.py` (directories) hold the
fence; `eviction.py` ends a stopped writer that would block its successor.

Not here: what a step means (`agentd.executors`), what equal data is (`agentd.proof`), contract messages.
"""
