"""One method = one transaction: load the few rows that matter, let the core decide, save what it decided.

One folder per subject. Here are only ``errors`` (what a method may raise), ``signals`` (wake-ups), ``idempotency``
(requests that carry an id) and ``not_found`` (names that nothing has). Everything takes its clock and its store from
whoever puts it together, so the simulator runs it unchanged.

Not here: rules (``core``), SQL (``store``), messages of the contract (``rpc``), what runs by itself (``loops``).
"""
