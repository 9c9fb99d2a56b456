"""Looking without touching: `haulier status`, `why`, `events`, `logs` and `fleet health`.

Not here: the answer to why a step waits (``core.steps.reasons``), tables of migrations (``cli.migrations``).
"""
