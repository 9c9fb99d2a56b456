"""Real processes on loopback under hard treatment: zombies, bad input, leaked secrets, waiting, and the way back.

`python -m tests.system.zombies --all` is the long form of its test.
"""
