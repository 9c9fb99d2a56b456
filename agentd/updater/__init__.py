"""The updater: the process that brings this host to another release, as root, and back where it must.

`main.py` is the command `haulier-updater` and `applying.py` one pass of it. `verifying.py` checks signatures,
`unpacking.py` and `links.py` put a release in place, `programs.py` and `running*.py` run a release's own programs,
`evidence.py` gathers how the new daemon is, `memory.py` is the updater's state, `exchange.py` what agent and updater
leave for each other, `black_box.py` what is kept of a failure.

Not here: what to do next (`core/updater_rules.py`), or the daemon's part of an upgrade (`agentd.upgrading`).
"""
