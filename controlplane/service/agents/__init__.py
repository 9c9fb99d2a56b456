"""Agents that are connected: their sessions, what they are offered and told, what they reported, clones of one agent.

Not here: cordon, labels and decommission (``service.rollouts.hosts``), certificates (``service.access``), the wire
(``rpc.agents``).
"""
