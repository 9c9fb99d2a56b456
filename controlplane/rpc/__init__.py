"""Door for machines: gRPC services over the contract.

``agent_door`` speaks with agents, ``operator_door`` with people's tools; ``translate`` is where contract messages
become values and values become messages, and nothing behind it knows either. Not here: decisions, transactions.
"""
