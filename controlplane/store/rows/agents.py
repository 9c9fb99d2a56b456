"""Agents and their hosts as rows."""

import json
from collections.abc import Sequence
from typing import Any

from controlplane.core.hosts import Facts, Running
from controlplane.core.model import Agent
from controlplane.core.states import AgentState, Liveness
from controlplane.store.verbs.agents import HostRecord

AGENT_COLUMNS = (
    "id",
    "name",
    "state",
    "liveness",
    "liveness_cause",
    "incarnation",
    "slots",
    "kinds",
    "datastores",
    "labels",
    "boot_id",
    "version",
    "drain_reason",
    "heard_at",
    "cordon_reason",
)
HOST_COLUMNS = HostRecord._fields


def agent_of(row: Sequence[Any]) -> Agent:
    """Build an agent from ``AGENT_COLUMNS``."""
    (
        agent_id,
        name,
        state,
        liveness,
        liveness_cause,
        incarnation,
        slots,
        kinds,
        datastores,
        labels,
        boot_id,
        version,
        drain_reason,
        heard_at,
        cordon_reason,
    ) = row
    return Agent(
        id=agent_id,
        name=name,
        state=AgentState(state),
        liveness=Liveness(liveness),
        liveness_cause=liveness_cause,
        incarnation=incarnation,
        slots=slots,
        kinds=frozenset(json.loads(kinds)),
        datastores=frozenset(json.loads(datastores)),
        labels=json.loads(labels),
        boot_id=boot_id,
        version=version,
        drain_reason=drain_reason,
        heard_at=heard_at,
        cordon_reason=cordon_reason,
    )


def agent_row(agent: Agent, joined_at: float) -> tuple[Any, ...]:
    """Lay an agent out as its row, without its cordon, which has a verb of its own."""
    return (
        agent.id,
        agent.name,
        agent.state,
        agent.liveness,
        agent.liveness_cause,
        agent.incarnation,
        agent.slots,
        json.dumps(sorted(agent.kinds)),
        json.dumps(sorted(agent.datastores)),
        json.dumps(agent.labels, sort_keys=True),
        agent.boot_id,
        agent.version,
        agent.drain_reason,
        agent.heard_at,
        joined_at,
    )


def host_of(row: Sequence[Any]) -> HostRecord:
    """Build what is kept of a host from ``HOST_COLUMNS``."""
    facts, running, own_labels, labels = row
    return HostRecord(facts_of(facts), running_of(running), json.loads(own_labels), json.loads(labels))


def running_text(running: Running) -> str:
    """Write what a host says of its release."""
    return json.dumps(running)


def running_of(text: str) -> Running:
    """Read what a host said of its release; fields that a later version added are left out."""
    values = json.loads(text)[: len(Running._fields)]
    running = Running(*values)
    return running._replace(failed_digests=tuple(running.failed_digests))


def facts_text(facts: Facts) -> str:
    """Write what a host is."""
    return json.dumps(facts)


def facts_of(text: str) -> Facts:
    """Read what a host is; fields that a later version added are left out."""
    return Facts(*json.loads(text)[: len(Facts._fields)])
