"""What should happen: pure decisions over values.

Nothing here waits, writes, logs or asks the time: instants (float seconds), ids and randomness come in as
arguments. Services load rows, call a function of this room and apply the changes that it returns.
Next door: ``controlplane.service`` calls these functions; ``controlplane.store`` applies their changes.
"""
