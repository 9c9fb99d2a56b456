"""What this agent should do: pure decisions.

Here: the held attempts and their states, leases and deadlines, slots, reconnecting. Not here: anything that
waits, writes, dials, forks or asks the time; instants and random numbers come in with the events.
"""
