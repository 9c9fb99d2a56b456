"""The kernel's means to keep an attempt in its bounds, one file each.

`landlock.py` (which files and ports a process reaches), `cgroups.py` (memory and CPU of all its processes, and killing
them whole), `privileges.py` (giving up what it never needs), `rlimits.py` (limits of one process).

Not here: what the bounds are (`agentd.policy`, `agentd.enforcement`), or starting and stopping (`agentd.runner`).
"""
