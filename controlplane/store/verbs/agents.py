"""Agents, and the hosts that they are on."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from controlplane.core.hosts import Facts, Running
from controlplane.core.model import Agent
from controlplane.core.rollouts.model import StepCounts
from controlplane.core.states import Liveness


class SampledAgent(NamedTuple):
    """An agent with what it measured last."""

    agent: Agent
    sample: str  # JSON; "{}" before the first


class WatchedAgent(NamedTuple):
    """What a verdict about an agent's liveness needs."""

    id: str
    liveness: Liveness
    heard_at: float


class HostRecord(NamedTuple):
    """What is kept of a host beside its agent."""

    facts: Facts
    running: Running
    own_labels: dict[str, str]
    labels: dict[str, str | None]  # an operator's, over its own; None takes one away


class AgentVerbs(Protocol):
    """Agents, their hosts, and the boots of those."""

    def agent(self, agent_id: str) -> Agent | None:
        """Return one agent, also one that is gone."""
        ...

    def agent_by_name(self, name: str) -> Agent | None:
        """Return one agent by the name that it joined with."""
        ...

    def agents(self) -> list[SampledAgent]:
        """Return all agents but those that are gone, in order of name."""
        ...

    def watched_agents(self) -> list[WatchedAgent]:
        """Return every agent that is not gone; also the lost ones, because a paused host comes back."""
        ...

    def put_agent(self, agent: Agent, now: float) -> None:
        """Keep an agent, new or changed; its name, its cordon and when it joined stay. A new one joins at ``now``."""
        ...

    def serves(self, agent_id: str, incarnation: int) -> bool:
        """Tell whether an agent may be given work and this is its life of today."""
        ...

    def set_cordon(self, agent_id: str, reason: str) -> None:
        """Keep why an agent is given no new work; empty when it is given some again."""
        ...

    def decommission(self, agent_id: str, name: str, cause: str) -> None:
        """Mark an agent as gone and lost, under another name, so that its own is free."""
        ...

    def host_record(self, agent_id: str) -> HostRecord:
        """Return what is kept of a host; of one that never said anything, an empty record."""
        ...

    def host_records(self) -> dict[str, HostRecord]:
        """Return agent id → what is kept of its host; one that never said anything is left out."""
        ...

    def put_introduced(self, agent_id: str, facts: Facts, running: Running, own_labels: Mapping[str, str]) -> None:
        """Keep what a host says of itself in its hello; an operator's labels stay."""
        ...

    def put_host_labels(self, agent: Agent, own: Mapping[str, str | None], effective: Mapping[str, str]) -> None:
        """Keep the labels that an operator put over a host's own, and those that placement looks at from now on."""
        ...

    def flush_hosts(self, running: Mapping[str, Running], counts: Mapping[str, StepCounts], now: float) -> None:
        """Make durable what heartbeats and results told of hosts, both by agent id.

        Counts are added to the day of ``now`` and to a host's part in a rollout that it has switched for; days that
        nothing is compared with any more go.
        """
        ...

    def former_boots(self, agent_id: str) -> list[str]:
        """Return the newest boots of an agent's host that were followed by another, at most 16."""
        ...

    def leave_boot(self, agent_id: str, boot_id: str, now: float) -> None:
        """Remember that a boot of an agent's host was followed by another; a repeat changes nothing."""
        ...

    def forget_boots(self, agent_id: str) -> None:
        """Forget every boot of an agent: its identity begins anew."""
        ...
