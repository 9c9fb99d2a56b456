"""One step: who may run it and until when, when a failed try is retried, how many may begin, and why it waits.

``leasing`` grants and ends leases, ``retrying`` has the retry rules, ``placement`` matches agents, ``admission`` has
the limits, ``reasons`` answers `haulier why`. Not here: the order of steps in a migration (``core.migrations``).
"""
