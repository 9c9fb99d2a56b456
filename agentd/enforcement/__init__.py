"""Applies the host's policy to one step.

`allowing.py` derives from a step's parameters what it will touch and asks the policy; `enclosing.py` turns the answer
into the paths and ports of a sandbox; `program_runner.py` starts the programs that the policy names; `unit_drop_in.py`
derives settings of the systemd unit from the policy.

Not here: reading or deciding a policy (`agentd.policy`), or the kernel's calls (`agentd.isolation`).
"""
