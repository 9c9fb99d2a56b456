"""What survives a restart of the daemon: the incarnation, attempts and their outcomes, fences seen, marks.

One SQLite file on one connection, owned by one process at a time: `journal.py` is the store with its schema,
`batching.py` writes in batches, `encoding.py` turns values into text, `mending.py` makes the file usable for another
release.

Not here: decisions (`agentd.core`), or the attempts' own files (`agentd.runner`).
"""
