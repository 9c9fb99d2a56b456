"""The host's own policy: what any step may do here. No remote message can widen it.

`host_policy.py` decides; `places.py` says what a datastore's name may mean here, `programs.py` which programs the host
names, `limits.py` what a step may take, `kinds.py` what must be known of a step kind; `reading.py` reads the file and
names what is wrong in it, `explaining.py` says it in sentences for the host's owner. The file is described in
`docs/host-policy.md`; a new key begins in `reading.py`.

Not here: deriving what a step will touch, or a sandbox from the policy (`agentd.enforcement`).
"""
