"""What operators do with single hosts: labels over their own, cordon, decommission; and how fleets are."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from controlplane.core.events import Event, asked_by
from controlplane.core.model import Agent
from controlplane.core.rollouts.model import Rollout
from controlplane.core.states import AgentState, Liveness, agent_after, liveness_after
from controlplane.manifests.kinds.documents import load_spec
from controlplane.manifests.kinds.fleet import FleetSpec, share_of
from controlplane.manifests.kinds.model import Metadata, duration_s
from controlplane.service.access.identities import Identities
from controlplane.service.agents.hello import effective_labels
from controlplane.service.agents.liveness import as_heard
from controlplane.service.agents.sessions import Sessions
from controlplane.service.errors import Precondition
from controlplane.service.not_found import no_agent, no_manifest
from controlplane.service.rollouts.hosts_now import members
from controlplane.service.rollouts.rollouts import FLEETS_MAX, Rollouts
from controlplane.store.port import Store, Tx
from controlplane.store.verbs.agents import AgentVerbs, HostRecord
from controlplane.store.verbs.steps import Backlog

LABELS_MAX = 100
# What a servicer writes of each placement class.
Waiting = Backlog


@dataclass(frozen=True, slots=True)
class FleetHealth:
    """One fleet as it is beside what is desired of it."""

    name: str
    desired_release: str
    replicas: int | None
    agents: int
    ready: int
    versions: Mapping[str, int]
    on_release: int
    rollout: Rollout | None
    problems: Sequence[str]  # empty: healthy


class Hosts:
    """Acts and views by agent name or id."""

    def __init__(
        self, store: Store, clock: Callable[[], float], sessions: Sessions, rollouts: Rollouts, identities: Identities
    ) -> None:
        self._store = store
        self._clock = clock
        self._sessions = sessions
        self._rollouts = rollouts
        self._identities = identities

    async def label(
        self, name: str, labels: Mapping[str, str], removed: Sequence[str], cleared: Sequence[str], by: str
    ) -> Agent:
        """Put labels over a host's own, take some of its own away (``removed``), or leave them to the host again.

        Raises ``NotFound`` or ``Precondition``.
        """
        try:
            Metadata.model_validate({"name": "x", "labels": dict(labels)})
        except ValueError as error:
            raise Precondition(_first_line(error)) from None
        now = self._clock()

        def change(tx: Tx) -> Agent:
            agent = find_agent(tx, name)
            record = tx.host_record(agent.id)
            over = {**record.labels, **labels, **dict.fromkeys(removed)}
            over = {key: value for key, value in over.items() if key not in cleared}
            if len(over) > LABELS_MAX:
                raise Precondition(f"{agent.name} would have more than {LABELS_MAX} labels of operators")
            agent = replace(agent, labels=effective_labels(record.own_labels, over))
            tx.put_host_labels(agent, over, agent.labels)
            said = ", ".join(f"{key}={value}" for key, value in sorted(agent.labels.items()))
            tx.record([Event(now, "AgentLabelled", agent.id, agent_id=agent.id, detail=asked_by(by, said))])
            return agent

        return await self._sessions.background.unbroken(self._placed(change))

    async def cordon(self, name: str, reason: str, by: str) -> Agent:
        """Give a host no new work, without telling it; an empty ``reason`` gives it some again. Raises ``NotFound``."""
        now = self._clock()

        def change(tx: Tx) -> Agent:
            agent = find_agent(tx, name)
            if agent.cordon_reason != reason:
                tx.set_cordon(agent.id, reason)
                event = "AgentCordoned" if reason else "AgentUncordoned"
                tx.record([Event(now, event, agent.id, agent_id=agent.id, detail=asked_by(by, reason))])
            return replace(agent, cordon_reason=reason)

        return await self._sessions.background.unbroken(self._placed(change))

    async def _placed(self, change: Callable[[Tx], Agent]) -> Agent:
        agent = await self._store.write(change)
        self._sessions.place_again(agent)
        return agent

    async def decommission(self, name: str, reason: str, by: str, *, force: bool) -> Agent:
        """Send a host away for good: its certificates are revoked, its name is free, only its past stays.

        Raises ``NotFound``, or ``Precondition`` while it holds leases, unless ``force``: these then go to others.
        """

        def look(tx: Tx) -> tuple[Agent, int]:
            agent = find_agent(tx, name)
            return agent, tx.live_count(agent.id)

        agent, held = await self._store.read(look)
        if held and not force:
            raise Precondition(
                f"{agent.name} holds {held} live leases: drain it first "
                f"(`haulier agent drain {agent.name} --reason TEXT`), or say --force and they go to others"
            )
        # Its identity first: should we die in between, it is harmless already, and the call can be repeated.
        await self._identities.revoke(agent.id, reason, by)
        now = self._clock()

        def send_away(tx: Tx) -> Agent:
            agent = find_agent(tx, name)
            state = agent_after(agent.state, "AgentDecommissioned", agent.id)
            liveness = liveness_after(agent.liveness, "AgentDecommissioned", agent.id)
            # Its past names it still, and the name may be taken by the next host that joins.
            gone = replace(agent, name=f"{agent.name}~{agent.id[3:]}", state=state, liveness=liveness)
            tx.decommission(agent.id, gone.name, f"decommissioned: {reason}")
            detail = asked_by(by, f"{agent.name}: {reason}")
            tx.record([Event(now, "AgentDecommissioned", agent.id, agent_id=agent.id, detail=detail)])
            return gone

        gone = await self._store.write(send_away)
        self._sessions.hosts.forget(gone.id)
        self._rollouts.hosts.forget(gone.id)
        self._sessions.changed.ring()
        return gone

    async def records(self) -> dict[str, HostRecord]:
        """Return what is kept of every host."""
        return await self._store.read(lambda tx: tx.host_records())

    async def backlog(self) -> list[Backlog]:
        """Return ready steps and live leases of each placement class."""
        return await self._store.read(lambda tx: tx.backlog())

    async def health(self, name: str) -> list[FleetHealth]:
        """Return how a fleet is, or all of them when ``name`` is empty; without manifests one of every agent.

        Raises ``NotFound``.
        """

        def load(tx: Tx) -> list[FleetHealth]:
            found = [tx.resource("Fleet", name)] if name else list(tx.resources("Fleet", "", FLEETS_MAX))
            if name and found == [None]:
                raise no_manifest(tx, "Fleet", name)
            specs = {each.name: load_spec("Fleet", each.spec) for each in found if each is not None}
            records = tx.host_records()
            return [
                self._health(tx, each, spec, records)
                for each, spec in (specs or {"": FleetSpec()}).items()
                if isinstance(spec, FleetSpec)
            ]

        return await self._store.read(load)

    def _health(self, tx: Tx, name: str, spec: FleetSpec, records: Mapping[str, HostRecord]) -> FleetHealth:
        now, within_s = self._clock(), duration_s(spec.health.heard_within)
        agents = members(tx, spec.hosts.labels)
        ready = [agent for agent in agents if self._is_ready(agent, now, within_s)]
        book = self._sessions.hosts.running
        running = [
            book.get(agent.id) or (records[agent.id].running if agent.id in records else None) for agent in agents
        ]
        versions = Counter(
            (release.version if release and release.version else agent.version) or "unknown"
            for agent, release in zip(agents, running, strict=True)
        )
        newest = next(iter(tx.rollouts(name, 1)), None) if name else None
        return FleetHealth(
            name=name,
            desired_release=spec.release or "",
            replicas=spec.replicas,
            agents=len(agents),
            ready=len(ready),
            versions=dict(versions.most_common()),
            on_release=versions.get(spec.release or "", 0),
            rollout=newest,
            problems=self._problems(name, spec, len(agents), len(ready), newest),
        )

    def _is_ready(self, agent: Agent, now: float, within_s: float) -> bool:
        agent = as_heard(self._sessions, agent, now)
        serves = agent.state is AgentState.SERVING and not agent.cordon_reason
        is_heard = agent.id in self._sessions.by_agent and now - agent.heard_at <= within_s
        return is_heard and serves and agent.liveness is Liveness.ALIVE

    def _problems(self, name: str, spec: FleetSpec, agents: int, ready: int, newest: Rollout | None) -> list[str]:
        problems = []
        if ready < share_of(spec.health.ready_min) * agents:
            problems.append(f"{ready} of {agents} agents are ready, fewer than {spec.health.ready_min}")
        if spec.replicas is not None and ready < spec.replicas:
            problems.append(f"{ready} agents are ready, and there are to be {spec.replicas}")
        if newest is not None and newest.halt_code:
            problems.append(f"rollout {newest.id} of {newest.version} halted: {newest.halt_cause}")
        if name in self._rollouts.waiting:
            problems.append(f"release {spec.release} is not rolled out: {self._rollouts.waiting[name]}")
        return problems


def find_agent(tx: AgentVerbs, name_or_id: str) -> Agent:
    """Return an agent that is not gone. Raises ``NotFound``."""
    agent = tx.agent(name_or_id) or tx.agent_by_name(name_or_id)
    if agent is None or agent.state is AgentState.GONE:
        raise no_agent(tx, name_or_id)
    return agent


def _first_line(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    return str(errors()[0]["msg"]) if errors is not None else str(error)
