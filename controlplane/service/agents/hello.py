"""An agent says hello: what the store learns of it, and what it is told of its leases. Plain functions over one
transaction.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from controlplane.core.events import Event
from controlplane.core.model import FENCE_COUNTER_BITS, Agent, Failure, Held, Introduction
from controlplane.core.states import AGENT_BARRED, Liveness
from controlplane.core.steps.leasing import Refused
from controlplane.core.steps.placement import fact_labels
from controlplane.identity.peers import Identity
from controlplane.service.steps.settling import GrantedLease, Settlement, equip, expire
from controlplane.store.port import Tx
from controlplane.store.verbs.access import Certificate

GENERATION_AHEAD_S_MAX = 86_400.0


class OtherLife(Refused):
    """Another boot than the one that is connected, with an older journal; or another state directory on the same boot.

    A hello may arrive long after the host that said it went down; only the living answer a welcome.
    """

    __slots__ = ()


class FormerBoot(OtherLife):
    """The host has booted since. If whoever says this still lives, then two machines share an identity."""

    __slots__ = ()


class Introduced(NamedTuple):
    """An agent that is known and current, with what became of its leases."""

    agent: Agent
    again: list[GrantedLease]  # leases that never reached it
    kept: list[Held]
    cancels: list[tuple[str, int, str]]  # attempt, fence, why it must stop
    lost: Settlement


def introduce(
    tx: Tx, agent_id: str, hello: Introduction, now: float, *, lock_delay_s: float, shown: Identity | None = None
) -> Introduced | Refused:
    """Record that an agent has connected, unless a newer life of it has, and compare its leases with ours."""
    known = tx.agent(agent_id)
    if known is None:
        return Refused(f"agent {agent_id} is not enrolled here")
    if known.state in AGENT_BARRED:
        return Refused(f"agent {known.name} is {known.state}: {known.drain_reason}")
    moved = bool(known.boot_id and hello.boot_id) and known.boot_id != hello.boot_id
    if moved and hello.boot_id in tx.former_boots(agent_id):
        return FormerBoot(f"agent {known.name} has booted again since; this is a boot of before, or another machine")
    if hello.incarnation < known.incarnation:
        return superseded(known, hello)
    _rise_above(tx, agent_id, hello, now)
    record = tx.host_record(agent_id)
    if moved:
        tx.leave_boot(agent_id, known.boot_id, now)
    if shown is not None and shown.serial:
        tx.see_certificate(Certificate(shown.serial, agent_id, shown.not_after_at, shown.authority, now), now)
    # What a host is it cannot call itself otherwise.
    own = {**hello.labels, **fact_labels(hello.facts)}
    agent = replace(
        known,
        liveness=Liveness.ALIVE,
        liveness_cause="",
        incarnation=hello.incarnation,
        slots=hello.slots,
        kinds=hello.kinds,
        datastores=hello.datastores,
        labels=effective_labels(own, record.labels),
        boot_id=hello.boot_id,
        version=hello.version,
        heard_at=now,
    )
    tx.put_agent(agent, now)
    tx.put_introduced(agent_id, hello.facts, hello.running, own)
    detail = f"incarnation {hello.incarnation}, {hello.slots} slots"
    tx.record([Event(now, "AgentConnected", agent_id, agent_id=agent_id, detail=detail)])
    return _reconcile(tx, agent, hello, now, moved=moved, lock_delay_s=lock_delay_s)


def _rise_above(tx: Tx, agent_id: str, hello: Introduction, now: float) -> None:
    """Raise the generation above fences that an agent holds and that this store never gave.

    Only a store that was put back without ``restore``, or on a host whose date was wrong, meets one: without this every
    grant to such a target would be refused at its destination, for ever.
    """
    shown = max((held.fence >> FENCE_COUNTER_BITS for held in hello.held), default=0)
    # A lie must not use generations up: they are instants in seconds, give or take a day.
    if tx.generation() < shown <= now + GENERATION_AHEAD_S_MAX:
        tx.begin_generation(shown + 1)
        detail = f"{shown + 1}: the agent holds an attempt of generation {shown}, which this store never gave"
        tx.record([Event(now, "GenerationRaised", agent_id, agent_id=agent_id, detail=detail)])


def effective_labels(own: Mapping[str, str], over: Mapping[str, str | None]) -> dict[str, str]:
    """Put an operator's labels over a host's own; one that is None takes the host's away.

    >>> effective_labels({"tier": "test", "zone": "a"}, {"tier": "prod", "zone": None})
    {'tier': 'prod'}
    """
    return {key: value for key, value in {**own, **over}.items() if value is not None}


def superseded(known: Agent, hello: Introduction) -> Refused:
    """Refuse an older life of an agent."""
    return Refused(
        f"incarnation {hello.incarnation} of {known.name} was followed by {known.incarnation}: "
        "another daemon runs under the same identity, or an old journal was restored"
    )


def copied(known: Agent, state_place: str, hello: Introduction) -> OtherLife:
    """Refuse a daemon whose state directory is not that of the connected one."""
    return OtherLife(
        f"agent {known.name} is connected from the state directory {state_place}, and this daemon runs on "
        f"{hello.state_place}: one of them is a copy. Stop the daemon on the copy; where a second agent is wanted, let "
        "it join under a name of its own"
    )


def _reconcile(
    tx: Tx, agent: Agent, hello: Introduction, now: float, *, moved: bool, lock_delay_s: float
) -> Introduced:
    """Compare what the agent holds with its live leases.

    A lease it never received is sent again, the same attempt with the same fence (promise L6); one it still holds is
    adopted by this incarnation; what it should not hold it is told to stop. After a boot (``moved``) nothing is sent
    again: should this be a copy of the machine that received the lease, two writers would share a fence. Such a lease
    ends, and its step is granted anew under a higher fence.
    """
    live = {attempt.id: attempt for attempt in tx.live_of_agent(agent.id)}
    kept, cancels = [], []
    for held in hello.held:
        attempt = live.pop(held.attempt_id, None)
        if attempt is not None and attempt.fence == held.fence:
            tx.adopt(attempt.id, agent.incarnation)
            kept.append(held)
        else:
            cancels.append((held.attempt_id, held.fence, "this agent holds no such lease any more"))
    lost = Settlement()
    if moved:
        failure = Failure("host_booted", f"the host of {agent.name} booted before it had the lease on disk")
        lost = expire(tx, [(a.id, a.fence, failure) for a in live.values()], now, lock_delay_s=lock_delay_s)
        live = {}
    missed = [attempt._replace(incarnation=agent.incarnation) for attempt in live.values()]
    for attempt in missed:
        tx.adopt(attempt.id, agent.incarnation)
    steps = tx.steps([attempt.step_id for attempt in missed])
    again = equip(tx, [(attempt, steps[attempt.step_id]) for attempt in missed])
    return Introduced(agent, again, kept, cancels, lost)
