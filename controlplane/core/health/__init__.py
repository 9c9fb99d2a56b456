"""The doctor: what must hold of all stored state at every commit, as pure checks.

A new invariant goes here, and into the row of docs/promises.md that it belongs to. Not here: the rounds through a
store (``service.health.doctor``), readiness and metrics (``service.health``).
"""
