"""Proof: what a row *is* in bytes, the digest of rows and datasets, and the naming of rows that differ.

Pure arithmetic over Arrow record batches: no file of anybody's data store is opened here and nothing is fetched. The
one place that writes is `diff`, into a scratch directory that its caller owns.

Not here: how rows are read (`agentd.datastores`), or what a failed comparison means (`agentd.executors.validate`).
"""
