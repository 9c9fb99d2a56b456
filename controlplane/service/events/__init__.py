"""The event log for people and figures: read with filters, counted by type, and written to the process's log.

Not here: the audit log's tree over the same events (``service.audit``).
"""
