"""An agent says hello: what the store learns of it, and what it is told of its leases. Plain functions over one
transaction.
"""

from dataclasses import replace
from typing import NamedTuple

from controlplane.core.events import Event
from controlplane.core.leasing import Refused
from controlplane.core.model import Agent, Held, Introduction
from controlplane.core.states import Liveness
from controlplane.service.steps import GrantedLease, equip
from controlplane.store.port import Tx


class Introduced(NamedTuple):
    """An agent that is known and current, with what became of its leases."""

    agent: Agent
    again: list[GrantedLease]  # leases that never reached it
    kept: list[Held]
    cancels: list[tuple[str, int, str]]  # attempt, fence, why it must stop


def introduce(tx: Tx, agent_id: str, hello: Introduction, now: float) -> Introduced | Refused:
    """Record that an agent has connected, unless a newer life of it has, and compare its leases with ours."""
    known = tx.agent(agent_id)
    if known is None:
        return Refused(f"agent {agent_id} is not enrolled here")
    if hello.incarnation < known.incarnation:
        return superseded(known, hello)
    agent = replace(
        known,
        liveness=Liveness.ALIVE,
        liveness_cause="",
        incarnation=hello.incarnation,
        slots=hello.slots,
        kinds=hello.kinds,
        datastores=hello.datastores,
        labels=hello.labels,
        boot_id=hello.boot_id,
        version=hello.version,
        heard_at=now,
    )
    tx.put_agent(agent, now)
    detail = f"incarnation {hello.incarnation}, {hello.slots} slots"
    tx.record([Event(now, "AgentConnected", agent_id, agent_id=agent_id, detail=detail)])
    return _reconcile(tx, agent, hello)


def superseded(known: Agent, hello: Introduction) -> Refused:
    """Refuse an older life of an agent."""
    return Refused(
        f"incarnation {hello.incarnation} of {known.name} was followed by {known.incarnation}: "
        "another daemon runs under the same identity, or an old journal was restored"
    )


def _reconcile(tx: Tx, agent: Agent, hello: Introduction) -> Introduced:
    """Compare what the agent holds with its live leases.

    A lease it never received is sent again, the same attempt with the same fence (promise L6); one it still holds is
    adopted by this incarnation; what it should not hold it is told to stop.
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
    missed = [attempt._replace(incarnation=agent.incarnation) for attempt in live.values()]
    for attempt in missed:
        tx.adopt(attempt.id, agent.incarnation)
    steps = tx.steps([attempt.step_id for attempt in missed])
    again = equip(tx, [(attempt, steps[attempt.step_id]) for attempt in missed])
    return Introduced(agent, again, kept, cancels)
