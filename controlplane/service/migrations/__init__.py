"""Migrations: selected, planned, started, retried, cancelled, undone, cleaned up, and shown to people.

``queries`` has the read models behind `haulier migration list|show` and `haulier status`. Not here: single leases and
results (``service.steps``), decisions (``core.migrations``).
"""
