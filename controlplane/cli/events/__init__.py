"""How events look, and streams that go on after a restart of the control plane.

Not here: the commands `haulier events` and `haulier logs` themselves (``cli.health.commands``).
"""
