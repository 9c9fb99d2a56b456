"""One method = one transaction: load the few rows that matter, let the core decide, save what it decided.

``fleet`` holds what is only in memory: open sessions and the instants that heartbeats move. Everything here takes its
clock and store from the composition root, so the simulator runs it unchanged. Not here: rules (``core``), SQL
(``store``), wire formats (``rpc``).
"""
