"""The verbs of the port over the named queries: one file for each of ``store.verbs``, where the promises stand."""
