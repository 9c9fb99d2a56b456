"""Decisions: what should happen, as pure functions over values.

Nothing here waits, writes, logs or asks the time: instants (float seconds), ids and randomness come in as arguments.
The files here are what all subjects share: ``model`` (the values), ``states`` (one transition table per machine),
``events`` and ``changes`` (what a decision gives back), ``hosts``, ``versions``, ``log_levels``. Each subject has a
folder of its own.

Not here: loading and saving (``controlplane.service``, which calls these functions), SQL (``controlplane.store``).
"""
