"""`haulier agent` and `haulier token`: commands, tables, black boxes.

Not here: labels, cordon and decommission of hosts (``cli.rollouts.fleets``).
"""
