"""The hot path of one step: granted, settled, its migration moved on; live leases, outputs, admission, destinations.

Not here: what people ask of whole migrations (``service.migrations``), decisions (``core.steps``).
"""
