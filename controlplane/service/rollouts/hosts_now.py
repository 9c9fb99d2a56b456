"""Hosts as rollouts look at them: what they said last, heard or not."""

import zoneinfo
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from controlplane.core.hosts import Facts, Running
from controlplane.core.model import Agent
from controlplane.core.rollouts.gates import groups_of
from controlplane.core.rollouts.model import Host
from controlplane.manifests.engines.spec import EngineSpec
from controlplane.manifests.kinds.documents import load_spec
from controlplane.service.agents.sessions import Sessions
from controlplane.store.port import Tx
from controlplane.store.verbs.agents import AgentVerbs


@dataclass(frozen=True, slots=True)
class KnownAgents:
    """What is stored of a host; of one that is connected, memory knows better."""

    name: str
    facts: Facts
    running: Running
    incarnation: int


class HostsNow:
    """The hosts of a fleet, put together from the store and from the sessions that are open."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._known: dict[str, KnownAgents] = {}

    def forget(self, agent_id: str) -> None:
        """Read what is stored of a host again when it is next looked at."""
        self._known.pop(agent_id, None)

    def of(
        self, tx: AgentVerbs, agent_ids: Iterable[str], now: float, time_zone: str, told: Mapping[str, object]
    ) -> dict[str, Host]:
        """Return these hosts as they are now; ``told`` maps agents to the session that heard a rollout's last word."""
        wanted = list(agent_ids)
        if any(agent_id not in self._known for agent_id in wanted):
            self._learn(tx)
        offsets: dict[str, float] = {}
        return {
            agent_id: self._host(agent_id, known, now, time_zone, offsets, told)
            for agent_id in wanted
            if (known := self._known.get(agent_id)) is not None
        }

    def _learn(self, tx: AgentVerbs) -> None:
        records = tx.host_records()
        for agent, _ in tx.agents():
            record = records.get(agent.id)
            facts, running = (record.facts, record.running) if record else (Facts(), Running())
            self._known[agent.id] = KnownAgents(agent.name, facts, running, agent.incarnation)

    def _host(
        self,
        agent_id: str,
        known: KnownAgents,
        now: float,
        time_zone: str,
        offsets: dict[str, float],
        told: Mapping[str, object],
    ) -> Host:
        session = self._sessions.by_agent.get(agent_id)
        late_s, book = self._sessions.settings.late_s, self._sessions.hosts
        facts = book.facts.get(agent_id, known.facts)
        zone = time_zone or facts.time_zone
        if zone not in offsets:
            offsets[zone] = utc_offset_s(zone, now)
        return Host(
            agent_id=agent_id,
            name=known.name,
            connected=session is not None and now - session.heard_at < late_s,
            architecture=facts.architecture,
            running=book.running.get(agent_id, known.running),
            utc_offset_s=offsets[zone],
            agent_rss_bytes=book.rss_bytes.get(agent_id, 0),
            incarnation=session.agent.incarnation if session is not None else known.incarnation,
            groups=(),
            told=session is not None and told.get(agent_id) is session,
        )


def utc_offset_s(time_zone: str, now: float) -> float:
    """Return how far clocks of a time zone are ahead of UTC; an unknown one counts as UTC.

    >>> utc_offset_s("", 0.0)
    0.0
    """
    try:
        zone = zoneinfo.ZoneInfo(time_zone)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        return 0.0
    offset = datetime.fromtimestamp(now, UTC).astimezone(zone).utcoffset()
    return offset.total_seconds() if offset is not None else 0.0


def members(tx: AgentVerbs, labels: Mapping[str, str]) -> list[Agent]:
    """Return the agents of a fleet: those that carry all of its labels."""
    return [agent for agent, _ in tx.agents() if labels.items() <= agent.labels.items()]


def grouped(tx: Tx, agents: Iterable[Agent], hosts: Mapping[str, Host], book: Mapping[str, Facts]) -> list[Host]:
    """Add to hosts their groups: kinds of the datastores that they may reach and that reach them."""
    stores = [(row.name, load_spec("Datastore", row.spec)) for row in tx.resources("Datastore", "", 1_000_000)]
    places = [
        (name, spec.engine, spec.placement.labels.items()) for name, spec in stores if isinstance(spec, EngineSpec)
    ]
    records = tx.host_records()
    found = []
    for agent in agents:
        host = hosts[agent.id]
        facts = book.get(agent.id) or (records[agent.id].facts if agent.id in records else Facts())
        kinds = [
            engine
            for name, engine, labels in places
            if ("*" in agent.datastores or name in agent.datastores) and labels <= agent.labels.items()
        ]
        found.append(host._replace(groups=groups_of(facts, kinds)))
    return found
