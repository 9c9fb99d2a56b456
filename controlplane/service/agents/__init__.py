"""Agents that are connected: their sessions, what they are offered and told, what they reported, clones of one agent.

``sessions`` has the open sessions, ``offers`` gives them work, ``background`` keeps what runs on by itself. Not here:
cordon, labels and decommission (``service.rollouts.hosts``), certificates (``service.access``), the wire
(``rpc.agents``).
"""
