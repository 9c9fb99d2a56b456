"""Attacks on releases, each with a real repository, real keys and the real verifier of a host or a control plane.

`python -m tests.attacks` plays all of them, prints a table and writes build/reports/tuf.json.
Exit codes: 0 all were refused and changed nothing · 1 one was not.
"""
