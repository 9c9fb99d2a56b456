"""Writing to disks, for everybody: `durable.py` writes files that are there after a crash, wholly or not at all;
`room.py` says how much room a file system has left.

Not here: what is written, or databases (`agentd.journal`, `agentd.datastores`).
"""
