"""`haulier migration`: commands, which migrations they are about, tables, proofs, and the live screen of `--watch`.

A new column of `haulier migration list` goes into ``tables``. Not here: what fills it (``rpc.operators.translate``).
"""
