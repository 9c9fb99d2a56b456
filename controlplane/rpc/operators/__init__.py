"""The operator service: manifests, migrations, status, events, logs; values as the contract's messages.

A new column of a list is filled in ``translate`` here. Not here: rollouts and hosts (``rpc.rollouts``), access
(``rpc.access``).
"""
