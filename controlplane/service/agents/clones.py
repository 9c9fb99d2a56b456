"""Two lives of one identity: of one agent, only one can go on.

A life is a boot of a host and a state directory on it. A host that boots, or a directory that was moved, begins another
life and ends the former; where both are heard, two daemons share an identity.
"""

from typing import NamedTuple

from controlplane.core.model import Agent, Introduction
from controlplane.service.agents.hello import FormerBoot, OtherLife, copied, superseded
from controlplane.store.port import Store


class Life(NamedTuple):
    """Where an agent lives: the boot of its host, and its state directory; empty where older agents do not say."""

    boot_id: str
    state_place: str = ""

    def is_other(self, other: "Life") -> bool:
        """Whether this is another life, as far as both say where they live."""
        if self.boot_id != other.boot_id:
            return True
        return bool(self.state_place and other.state_place) and self.state_place != other.state_place


class Clone(NamedTuple):
    """Another life of a connected agent, which answered a welcome: which, beside which life, and when."""

    life: Life
    beside: Life
    since: float


class Clones:
    """Agents of which another life was seen."""

    def __init__(self) -> None:
        self._known: dict[str, Clone] = {}  # by agent id

    def met(self, agent_id: str, life: Life, beside: Life, now: float) -> None:
        """Take note that a life answered while another one was connected; only the first time counts."""
        self._known.setdefault(agent_id, Clone(life, beside, now))

    def forget(self, agent_id: str) -> None:
        """An agent has no identity any more."""
        self._known.pop(agent_id, None)

    def proven(self, agent_id: str, life: Life, now: float, silence_s: float) -> str:
        """Tell, when a life is heard, why there must be two; empty when there need not be.

        What is heard at once may have been under way while the machine went down, so the silence of one interval must
        have passed. And if the agent has begun another life since, then nothing has gone on.
        """
        clone = self._known.get(agent_id) if self._known else None
        if clone is None:
            return ""
        if life == clone.beside and now - clone.since <= silence_s:
            return ""
        del self._known[agent_id]
        if life != clone.beside:
            return ""
        if life.boot_id == clone.life.boot_id:
            one, other = life.state_place, clone.life.state_place
            return f"two daemons on one host show its identity (from the state directories {one} and {other})"
        went_on = f"boot {life.boot_id} went on after boot {clone.life.boot_id} had answered"
        return f"two machines show its identity ({went_on})"


async def other_life(store: Store, agent: Agent, beside: Life, hello: Introduction) -> OtherLife | None:
    """Refuse whoever shows a connected agent's identity from elsewhere than ``beside``, but for a host that booted."""
    if hello.boot_id != beside.boot_id:
        if hello.boot_id in await store.read(lambda tx: tx.former_boots(agent.id)):
            return FormerBoot(f"agent {agent.name} has booted again since, and that boot is connected")
        if agent.incarnation > hello.incarnation and hello.boot_id and agent.boot_id:
            return OtherLife(superseded(agent, hello).because)
    elif Life(hello.boot_id, hello.state_place).is_other(beside):
        # Of two state directories on one boot the connected one keeps its stream, whatever either's incarnation.
        return copied(agent, beside.state_place, hello)
    return None
