"""A whole fleet in one thread: real decisions, store, journals and messages under a seeded clock, network and disk.

Run `python -m tests.sim --histories N`; replay one history with `--seed N`. What is simulated: time, streams, disks,
processes and destinations. Everything that decides or remembers is the product's own code.
"""
