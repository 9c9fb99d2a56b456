"""Executors: one file per step kind, each with `probe` (is it done already?), `run` and `undo`.

An executor says in words why running it twice is harmless and what its undo restores; a class that does not is
refused at load (`registry.py`). Parameters and results are the contract's kinds messages, decoded here and nowhere
below.

Not here: leases, heartbeats, processes (`agentd.runner`), engines (`agentd.datastores`), digests (`agentd.proof`).
"""
