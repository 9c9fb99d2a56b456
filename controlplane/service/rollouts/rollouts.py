"""Rollouts: made, steered, looked at. One at a time here, so that hosts hear of decisions in their order."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol

from controlplane.core.events import Event, asked_by
from controlplane.core.rollouts.drafting import draft, skews, why_not
from controlplane.core.rollouts.model import (
    OPEN,
    Artefact,
    Host,
    Rollout,
    RolloutChanges,
    RolloutHost,
    RolloutPolicy,
    RolloutState,
)
from controlplane.core.rollouts.planning import look, steer
from controlplane.core.states import InvalidTransition
from controlplane.manifests.kinds.documents import load_spec
from controlplane.manifests.kinds.fleet import FleetSpec, policy_of
from controlplane.service.agents.messages import ToAgent, UpgradeTerms
from controlplane.service.agents.session import Session
from controlplane.service.agents.sessions import Sessions
from controlplane.service.errors import Conflict, NotFound, Precondition
from controlplane.service.idempotency import answered
from controlplane.service.not_found import NAMES_MAX, no_manifest, no_such
from controlplane.service.rollouts.healthy_clock import HealthyClock
from controlplane.service.rollouts.hosts_now import HostsNow, grouped, members
from controlplane.store.port import Store, Tx
from controlplane.store.verbs.inventory import Resource
from controlplane.store.verbs.rollouts import RolloutVerbs

# A host that does not act upon what it was told is told again after so long.
SAY_AGAIN_S = 60.0
# HealthyClock seconds that a crash may lose.
SAVE_HEALTHY_S = 5.0
FLEETS_MAX = 10_000
# A desired release that cannot be rolled out yet, because it is not published say, is tried again after so long.
TRY_AGAIN_S = 10.0
# How long to rest after a look, in multiples of how long it took.
REST_FACTOR = 2.0
# A rollout that only waits for hosts that are away, or for a person, is looked at no more often than this.
QUIET_LOOK_S = 10.0
BRISK = frozenset({RolloutState.RUNNING, RolloutState.ROLLING_BACK})
DIRECTION_WORDS = {
    "RolloutStarted": "started",
    "RolloutPaused": "paused",
    "RolloutResumed": "resumed",
    "RolloutCancelled": "cancelled",
    "RolloutRollbackAsked": "rolled back",
}
_ALREADY = {
    "RolloutPaused": RolloutState.PAUSED,
    "RolloutCancelled": RolloutState.CANCELLED,
    "RolloutRollbackAsked": RolloutState.ROLLING_BACK,
}


class Published(Protocol):
    """A published release for one architecture."""

    @property
    def digest(self) -> str: ...
    @property
    def target_path(self) -> str: ...
    @property
    def min_from(self) -> str: ...


class Rollouts:
    """Takes turns: a decision and the looks of the pilot never mix."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        sessions: Sessions,
        published: Callable[[str, str], Published | None],
        version: str,
        healthy: HealthyClock,
    ) -> None:
        """``published``: (version, architecture) → what is published. ``version``: of this control plane."""
        self._store = store
        self._clock = clock
        self._sessions = sessions
        self._published = published
        self._version = version
        self.healthy = healthy
        self.hosts = HostsNow(sessions)
        self.waiting: dict[str, str] = {}  # fleet → why its desired release is not rolled out yet
        self._tried_at: dict[str, float] = {}
        self._turn = asyncio.Lock()
        self._passed_s = 0.0
        self._rest_until = 0.0
        self._unsaved_s: dict[str, float] = {}
        self._looked_at: dict[str, float] = {}
        self._told: dict[str, dict[str, tuple[Session, float]]] = {}  # rollout → agent → whom, when

    # ---- Made

    async def create(
        self, fleet: str, version: str, request_id: str, *, start: bool, supersede: bool, reason: str, by: str
    ) -> str:
        """Make a rollout of ``version`` (empty: the one that the Fleet desires); return its id.

        ``supersede``: cancel the open one of this fleet. Raises ``NotFound`` or ``Precondition``.
        """
        work = self._create(fleet, version, request_id, start=start, supersede=supersede, reason=reason, by=by)
        return await self._sessions.background.unbroken(work)

    async def _create(
        self, fleet: str, version: str, request_id: str, *, start: bool, supersede: bool, reason: str, by: str
    ) -> str:
        now = self._clock()
        known = await self._store.read(lambda tx: answered(tx, request_id, "CreateRollout") if request_id else None)
        if known is not None:
            return known
        rollout_id = await self._store.write(lambda tx: tx.next_ids("roll_", 1)[0])

        def plan(tx: Tx) -> tuple[Rollout, list[RolloutHost]]:
            resource = tx.resource("Fleet", fleet)
            if resource is None:
                raise no_manifest(tx, "Fleet", fleet)
            self._check_room(tx, fleet, supersede)
            rollout, rows = self._draft(tx, resource, version, rollout_id, now)
            return replace(rollout, created_by=by, reason=reason), rows

        def make(tx: Tx) -> tuple[str, list[RolloutChanges]]:
            before = answered(tx, request_id, "CreateRollout") if request_id else None
            if before is not None:
                return before, []
            ended = self._make_room(tx, fleet, supersede, now)
            tx.insert_rollout(rollout, rows)
            tx.record([_event(now, "RolloutProposed", rollout_id, asked_by(by, f"{rollout.version} on {fleet}"))])
            if start:
                self._save(tx, steer(rollout, rows, "RolloutStarted", now, reason), now, by)
            if request_id:
                tx.keep_answer(request_id, "CreateRollout", rollout_id, now)
            return rollout_id, ended

        async with self._turn:
            # On a snapshot: dealing out ten thousand hosts takes seconds, and leases must not wait for it.
            rollout, rows = await self._store.read(plan)
            made, ended = await self._store.write(make)
            for changes in ended:
                self._say(changes, now)
        self._sessions.changed.ring()
        return made

    def _check_room(self, tx: RolloutVerbs, fleet: str, supersede: bool) -> list[Rollout]:
        """Return the rollouts of a fleet that another one would end. Raises ``Precondition`` where none may."""
        rollouts = [each for each in tx.rollouts(fleet, 100) if each.state in OPEN]
        for other in rollouts:
            if other.state is RolloutState.ROLLING_BACK or not supersede:
                raise Precondition(
                    f"rollout {other.id} of {other.version} is {other.state}: wait for its end, or "
                    f"`haulier rollout cancel {other.id} --reason TEXT`"
                )
        return rollouts

    def _make_room(self, tx: Tx, fleet: str, supersede: bool, now: float) -> list[RolloutChanges]:
        ended = []
        for other in self._check_room(tx, fleet, supersede):
            changes = steer(other, tx.rollout_hosts(other.id), "RolloutCancelled", now, "another release is desired")
            self._save(tx, changes, now, "")
            ended.append(changes)
        return ended

    def _draft(
        self, tx: Tx, resource: Resource, version: str, rollout_id: str, now: float
    ) -> tuple[Rollout, list[RolloutHost]]:
        spec = load_spec("Fleet", resource.spec)
        assert isinstance(spec, FleetSpec), "the kind decides the model"
        version = version or spec.release or ""
        if not version:
            raise Precondition(f"Fleet {resource.name} desires no release: name one, or write spec.release")
        skew = skews(version, self._version)
        if skew:
            raise Precondition(skew)
        policy = policy_of(spec)
        agents = members(tx, spec.hosts.labels)
        if not agents:
            raise Precondition(f"no agent carries the labels of Fleet {resource.name}")
        now_hosts = self.hosts.of(tx, [agent.id for agent in agents], now, policy.time_zone, {})
        hosts = grouped(tx, agents, now_hosts, self._sessions.hosts.facts)
        artefacts = tuple(self._artefacts(version, {host.architecture for host in hosts if host.architecture}))
        if not artefacts:
            raise Precondition(f"release {version} is not published for any of these hosts: see `haulier release list`")
        rollout = replace(_new(rollout_id, resource.name, version, artefacts, policy), created_at=now)
        rows = draft(rollout, hosts)
        if not any(row.wave == 0 for row in rows):
            raise Precondition(_nobody(hosts, rollout))
        return rollout, rows

    def _artefacts(self, version: str, architectures: Iterable[str]) -> Iterable[Artefact]:
        for architecture in sorted(architectures):
            found = self._published(version, architecture)
            if found is not None:
                yield Artefact(architecture, found.digest, found.target_path, found.min_from)

    async def reconcile(self) -> None:
        """Make a rollout for each Fleet that was applied since its newest one and desires another release."""
        for resource in await self._store.read(lambda tx: tx.resources("Fleet", "", FLEETS_MAX)):
            spec = load_spec("Fleet", resource.spec)
            assert isinstance(spec, FleetSpec), "the kind decides the model"
            newest = await self._store.read(lambda tx, name=resource.name: tx.rollouts(name, 1))  # type: ignore[misc]
            # What was made since the manifest was applied, by hand say, is not taken back because of it.
            decided = newest and (newest[0].version == spec.release or newest[0].created_at >= resource.applied_at)
            if spec.release is None or decided:
                self.waiting.pop(resource.name, None)
                continue
            if self._clock() < self._tried_at.get(resource.name, 0.0) + TRY_AGAIN_S:
                continue
            self._tried_at[resource.name] = self._clock()
            try:
                await self._create(
                    resource.name,
                    spec.release,
                    "",
                    start=spec.rollout.start == "auto",
                    supersede=True,
                    reason=f"generation {resource.generation} of the Fleet",
                    by="",
                )
            except (Precondition, NotFound, Conflict) as error:
                self.waiting[resource.name] = str(error)
            else:
                self.waiting.pop(resource.name, None)

    # ---- Steered

    async def steer(self, subject: str, event: str, reason: str, by: str) -> str:
        """Start, pause, resume, cancel or roll back a rollout (``event`` names it), as ``by`` asked; return its id.

        Once this has returned nothing is asked of any host that the decision forbids. Asking again for what is so
        already changes nothing. Raises ``NotFound`` or ``Precondition``.
        """
        return await self._sessions.background.unbroken(self._steer(subject, event, reason, by))

    async def _steer(self, subject: str, event: str, reason: str, by: str) -> str:
        now = self._clock()

        def decide(tx: Tx) -> tuple[str, RolloutChanges | None]:
            rollout = find(tx, subject)
            if rollout.state is _ALREADY.get(event):
                return rollout.id, None
            try:
                changes = steer(rollout, tx.rollout_hosts(rollout.id), event, now, reason)
            except InvalidTransition:
                state = str(rollout.state).replace("_", " ")
                told = f"rollout {rollout.id} is {state}: it cannot be {DIRECTION_WORDS[event]}"
                raise Precondition(told) from None
            self._save(tx, changes, now, by)
            return rollout.id, changes

        async with self._turn:
            rollout_id, changes = await self._store.write(decide)
            if changes is not None:
                self._say(changes, now)
        self._sessions.changed.ring()
        return rollout_id

    # ---- Looked at

    async def look(self) -> None:
        """Look at every rollout that may move, and do what comes next."""
        now = self._clock()
        passed_s = self.healthy.passed_s(now)
        self._passed_s += passed_s
        if now < self._rest_until:
            return
        passed_s, self._passed_s = self._passed_s, 0.0
        watched = await self._store.read(lambda tx: tx.watched_rollouts())
        for each in watched:
            self._unsaved_s[each.id] = self._unsaved_s.get(each.id, 0.0) + passed_s
            if each.state not in BRISK and now < self._looked_at.get(each.id, 0.0) + QUIET_LOOK_S:
                continue
            self._looked_at[each.id] = now
            await self._sessions.background.unbroken(self._look(each.id))
        # Very many hosts take a while to look at, and the process has other things to do.
        self._rest_until = self._clock() + REST_FACTOR * (self._clock() - now)
        ids = {each.id for each in watched}
        self._unsaved_s = {key: value for key, value in self._unsaved_s.items() if key in ids}
        self._told = {key: value for key, value in self._told.items() if key in ids}
        self._looked_at = {key: value for key, value in self._looked_at.items() if key in ids}

    async def _look(self, rollout_id: str) -> None:
        async with self._turn:
            now, unsaved_s = self._clock(), self._unsaved_s.get(rollout_id, 0.0)
            told = {
                agent_id: session
                for agent_id, (session, at) in self._told.get(rollout_id, {}).items()
                if now - at < SAY_AGAIN_S
            }

            def plan(tx: Tx) -> tuple[Rollout, RolloutChanges]:
                before = find(tx, rollout_id)
                rows = tx.rollout_hosts(rollout_id)
                hosts = self.hosts.of(tx, [row.agent_id for row in rows], now, before.policy.time_zone, told)
                healthy = replace(before, healthy_s=before.healthy_s + unsaved_s)
                return healthy, look(healthy, rows, hosts, now)

            # On a snapshot, in another thread: ten thousand hosts take a while, and heartbeats must not wait for it.
            healthy, changes = await self._store.read(plan)
            if changes.hosts or changes.events or changes.rollout != healthy or unsaved_s > SAVE_HEALTHY_S:
                try:
                    await self._store.write(lambda tx: self._save(tx, changes, now, ""))
                except Conflict:
                    return  # somebody decided meanwhile: the next look sees it
                self._unsaved_s[rollout_id] = 0.0
            self._say(changes, now)
        if changes.events:
            self._sessions.changed.ring()

    def _save(self, tx: Tx, changes: RolloutChanges, now: float, by: str) -> None:
        rollout_id = changes.rollout.id
        tx.save_rollout(changes, now)
        tx.record(
            [
                _event(now, type_, rollout_id, detail if agent_id else asked_by(by, detail), agent_id or None)
                for type_, agent_id, detail in changes.events
            ]
        )

    def _say(self, changes: RolloutChanges, now: float) -> None:
        """Let hosts hear what is durable by now."""
        rollout = changes.rollout
        told = self._told.setdefault(rollout.id, {})
        terms = UpgradeTerms(rollout.policy.probation_s, rollout.policy.bytes_per_s_max, rollout.reason)
        for order in changes.orders:
            session = self._sessions.by_agent.get(order.agent_id)
            if session is not None:
                session.send(ToAgent(upgrades=[(rollout.id, order, terms)]))
                told[order.agent_id] = (session, now)


def find(tx: Tx, subject: str) -> Rollout:
    """Return a rollout by its id, or the newest of the Fleet of that name. Raises ``NotFound``."""
    rollout = tx.rollout(subject) or next(iter(tx.rollouts(subject, 1) if subject else ()), None)
    if rollout is None:
        fleets = (resource.name for resource in tx.resources("Fleet", "", NAMES_MAX))
        raise no_such("rollout", subject, fleets, "haulier rollout list")
    return rollout


def _new(rollout_id: str, fleet: str, version: str, artefacts: tuple[Artefact, ...], policy: RolloutPolicy) -> Rollout:
    return Rollout(
        id=rollout_id,
        fleet=fleet,
        version=version,
        artefacts=artefacts,
        policy=policy,
        state=RolloutState.PROPOSED,
        revision=1,
        wave=0,
        healthy_s=0.0,
        wave_healthy_s=0.0,
        soak_healthy_s=None,
        forgiven=0,
        halt_code="",
        halt_cause="",
        halted_wave=None,
        created_at=0.0,
        ended_at=None,
        created_by="",
        reason="",
    )


def _nobody(hosts: Iterable[Host], rollout: Rollout) -> str:
    """Say why a rollout has no canary."""
    why = Counter(why_not(host, rollout) or "already on it" for host in hosts)
    told = ", ".join(f"{count} {code.replace('_', ' ')}" for code, count in why.most_common())
    return f"no host can be brought to {rollout.version} now: {told}"


def _event(now: float, type_: str, rollout_id: str, detail: str, agent_id: str | None = None) -> Event:
    return Event(now, type_, rollout_id, agent_id=agent_id, detail=detail)
