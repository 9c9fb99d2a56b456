"""When a silent agent is suspected, and when it counts as lost.

Not here: which agent may run a step (``core.steps.placement``), the sessions themselves (``service.agents``).
"""
