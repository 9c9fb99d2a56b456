"""Row ↔ model, shared by the stores. Column order is that of the named queries."""

import json
from collections.abc import Sequence
from typing import Any

from controlplane.core.changes import EndAttempt, GrantLease, MoveMigration, MoveStep
from controlplane.core.model import Agent, Attempt, Migration, Step, StepPlan
from controlplane.core.states import (
    AgentState,
    AttemptState,
    Direction,
    Liveness,
    MigrationState,
    StepState,
)

# A dict look-up is several times faster than calling the enum, and these run once per row.
_STEP_STATE = {state.value: state for state in StepState}
_ATTEMPT_STATE = {state.value: state for state in AttemptState}
_DIRECTION = {direction.value: direction for direction in Direction}

# What a named tuple's own ``_make`` does, without its check of a length that the queries fix.
_tuple = tuple.__new__

STEP_COLUMNS = (
    "id, migration_id, ordinal, name, kind, placement_class, priority, state, direction, ready_at, "
    "queue_deadline_at, attempts, failures, attempts_max, target, fenced, pivot, compensatable, touched, queue_s, "
    "start_to_finish_s, progress_s, backoff_initial_s, backoff_factor, backoff_max_s, reason_code, reason, hint, "
    "unreachable_for_s, unreachable_since, losses"
)
ATTEMPT_COLUMNS = (
    "id, step_id, migration_id, number, direction, agent_id, incarnation, fence, target, state, granted_at, "
    "expires_at, ended_at"
)
ATTEMPT_WIDTH = len(ATTEMPT_COLUMNS.split(","))


def step_of(row: Sequence[Any]) -> Step:
    """Build a step from ``STEP_COLUMNS``."""
    return _tuple(
        Step,
        (
            *row[:7],
            _STEP_STATE[row[7]],
            _DIRECTION[row[8]],
            *row[9:15],
            row[15] != 0,
            row[16] != 0,
            row[17] != 0,
            row[18] != 0,
            *row[19:31],
        ),
    )


def attempt_of(row: Sequence[Any]) -> Attempt:
    """Build an attempt from ``ATTEMPT_COLUMNS``."""
    return _tuple(Attempt, (*row[:4], _DIRECTION[row[4]], *row[5:9], _ATTEMPT_STATE[row[9]], *row[10:13]))


def migration_of(row: Sequence[Any]) -> Migration:
    """Build a migration from its row."""
    return Migration._make((*row[:8], MigrationState(row[8]), *row[9:14]))


def agent_of(row: Sequence[Any]) -> Agent:
    """Build an agent from its row, the sample left out."""
    return Agent(
        id=row[0],
        name=row[1],
        state=AgentState(row[2]),
        liveness=Liveness(row[3]),
        liveness_cause=row[4],
        incarnation=row[5],
        slots=row[6],
        kinds=frozenset(json.loads(row[7])),
        datastores=frozenset(json.loads(row[8])),
        labels=json.loads(row[9]),
        boot_id=row[10],
        version=row[11],
        drain_reason=row[12],
        heard_at=row[13],
        cordon_reason=row[16],
    )


def agent_row(agent: Agent, joined_at: float) -> tuple[Any, ...]:
    """Lay an agent out as its row."""
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


def step_row(migration: Migration, step_id: str, ordinal: int, plan: StepPlan, placement: str) -> tuple[Any, ...]:
    """Lay a planned step out as its row, blocked."""
    return (
        step_id,
        migration.id,
        ordinal,
        plan.name,
        plan.kind,
        placement,
        migration.priority,
        StepState.BLOCKED,
        Direction.FORWARD,
        0.0,
        None,
        0,
        0,
        plan.attempts_max,
        plan.target,
        plan.fenced,
        plan.pivot,
        plan.compensatable,
        False,
        plan.queue_s,
        plan.start_to_finish_s,
        plan.progress_s,
        plan.backoff_initial_s,
        plan.backoff_factor,
        plan.backoff_max_s,
        "",
        "",
        "",
        plan.unreachable_for_s,
        None,
        0,
    )


def grant_rows(grants: Sequence[GrantLease]) -> list[tuple[Any, ...]]:
    """Lay granted attempts out as their rows; ``moved_at`` starts with the grant."""
    return [
        (
            a.id,
            a.step_id,
            a.migration_id,
            a.number,
            a.direction,
            a.agent_id,
            a.incarnation,
            a.fence,
            a.target,
            a.state,
            a.granted_at,
            a.expires_at,
            a.granted_at,
        )
        for a, _ in grants
    ]


def end_row(end: EndAttempt) -> tuple[Any, ...]:
    """Lay out the guarded end of an attempt."""
    failure = end.failure
    use = end.use
    return (
        end.state,
        end.ended_at,
        None
        if failure is None
        else json.dumps(
            {
                "code": failure.code,
                "message": failure.message,
                "hint": failure.hint,
                "retryable": failure.retryable,
                "unreachable": failure.unreachable,
            }
        ),
        None
        if use is None
        else f'{{"wall_s":{use.wall_s},"cpu_s":{use.cpu_s},"rss_bytes_max":{use.rss_bytes_max},'
        f'"read_bytes":{use.read_bytes},"written_bytes":{use.written_bytes}}}',
        end.attempt_id,
        end.fence,
    )


def step_move_row(move: MoveStep) -> tuple[Any, ...]:
    """Lay out the guarded move of a step."""
    return (
        move.to_state,
        move.direction,
        move.ready_at,
        move.queue_deadline_at,
        move.failures,
        move.reason_code,
        move.reason,
        move.hint,
        move.unreachable_since,
        move.losses,
        move.step_id,
        move.from_state,
    )


def migration_move_row(move: MoveMigration) -> tuple[Any, ...]:
    """Lay out the guarded move of a migration."""
    return (move.to_state, move.reason, move.ended_at, move.migration_id, move.from_state)
