"""Processes of attempts: started warm, watched by files, killed whole, adopted after a restart.

Here: the attempt's directory, the fork server, watching, stopping, evicting, the child's own side. Not
here: what a
step does (executors) and whether it should run (core).
"""
