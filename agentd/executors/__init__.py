"""Executors: one file per step kind, each with `probe` (is it done already?), `run` and `undo`.

`registry.py` lists them, users' own kinds included, and says what a class must declare; `uses.py` is how a step says
what it touches; `context.py` is what each is given; `translate.py` decodes the parameters and results of the contract;
`staging.py` and `leftovers.py` keep staged parts, `mounts.py` notices a mount point that is not mounted. An executor
says in words why running it twice is harmless and what its undo restores; a class that does not is refused when it is
loaded.

Not here: leases, heartbeats, processes (`agentd.runner`), engines (`agentd.datastores`), digests (`agentd.proof`).
"""
