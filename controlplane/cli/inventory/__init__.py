"""`haulier apply`, `validate`, `delete`, `inspect`, and `dataset|datastore|workflow list|get`: commands and tables.

Not here: what a manifest means (``controlplane.manifests``).
"""
