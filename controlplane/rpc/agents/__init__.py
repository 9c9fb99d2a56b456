"""The agent service: enrolment, the session stream, output of attempts, black boxes; agents' messages as values.

Not here: what a message leads to (``service.agents``, ``service.steps``).
"""
