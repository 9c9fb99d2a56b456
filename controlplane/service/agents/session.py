"""One open stream of one agent."""

from collections.abc import Callable

from controlplane.core.model import Agent
from controlplane.service.agents.clones import Life
from controlplane.service.agents.messages import ToAgent


class Session:
    """One open stream of one agent."""

    def __init__(self, agent: Agent, send: Callable[[ToAgent], None], end: Callable[[], None], now: float) -> None:
        self.agent = agent
        self.classes: list[str] = []  # the placement classes that it may run
        self.send = send
        self.end = end  # ends the stream, so that a living agent dials again
        self.heard_at = now
        self.stopping = False  # its daemon is on its way out and refuses whatever it is granted
        self.granting = False
        self.grant_again = False
        self.authority = ""  # key id of who signed its certificate
        self.life = Life(agent.boot_id)
