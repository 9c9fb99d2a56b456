"""What a release must be able to do on this host before it is kept: `haulier-agentd selftest`.

Here: a migration in miniature for every datastore that needs no server, each with a stale fence that must be refused
(miniature.py), and the other checks and their report (running.py). All of it happens in a scratch directory; nothing
that belongs to anybody is touched. Not here: what follows from a report (core/updater_rules.py).
"""
