"""`haulier rollout` and `haulier fleet`, and what `haulier agent` does with single hosts: commands, tables, watching.

Not here: releases and their keys (``cli.releases``).
"""
