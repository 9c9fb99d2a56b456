"""Engines as manifests know them: one file for each, with its options and what validation must know of it.

`spec.py` has what the specs of several engines share, `engine.py` is the value by which an engine is declared. The list
of engines is in the Datastore kind, which is the one place where a new engine's name is added.

Not here: how an engine is read or written; only agents know that (`agentd/datastores`).
"""
