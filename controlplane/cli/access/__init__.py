"""`haulier operator`, `haulier approval` and `haulier authority`, and their tables.

Not here: the profile and its token (``cli.asking``).
"""
