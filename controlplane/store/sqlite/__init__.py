"""The store on one SQLite file: one writing connection that commits in groups, readers on snapshots.

``queries`` holds every statement under a name; ``batcher`` turns waiting calls into one transaction.
"""
