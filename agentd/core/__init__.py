"""What the agent decides, as pure functions of events and state.

An event comes in, effects come out: `agent.py` holds the attempts, and the other files decide one subject each (leases,
slots, reconnecting, certificates, refusals, witnessing the audit log). Three files are about upgrades:
`release_state.py` (the values), `upgrade_requests.py` (the daemon's part) and `updater_rules.py` (what the updater does
next).

Not here: anything that waits, writes, dials, forks or asks the time; instants and random numbers come in with events.
"""
