"""THE DOER: the agent that runs on a data host.

One heartbeat walked through the rooms: `core` decides that it is due, `daemon` carries the effect to
`link`, which
merges it with whatever waits and sends it; the answer comes back through `link/translate.py` as an event, and
`core` moves the deadlines that `runner` writes down for the attempts' processes.

core: decisions, pure. journal: what survives a restart. link: the wire. runner: processes of attempts.
executors, datastores, proof: the steps themselves, in the attempts' processes only. sensors: samples of the
host.
policy.py: what this host allows. daemon.py: the composition root and the one loop.
Not here: anything about other hosts; the control plane knows those.
"""
