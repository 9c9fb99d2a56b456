"""What survives a restart of the daemon: the incarnation, attempts and their outcomes, fences seen, marks.

Here: one SQLite file on one connection, written in batches, owned by one process at a time. Not here:
decisions
(core) and the attempts' own files (runner).
"""
