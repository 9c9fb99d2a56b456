"""What the agent tells of its host: `host.py` samples for heartbeats, `facts.py` facts for placing and rollouts.

Not here: what one attempt uses (`runner/resource_use.py`).
"""
