"""Steps as rows."""

from collections.abc import Sequence
from typing import Any

from controlplane.core.changes import MoveStep
from controlplane.core.model import Candidate, Migration, Step, StepPlan
from controlplane.core.states import Direction, StepState

STEP_COLUMNS = Step._fields

# A dict look-up is several times faster than calling the enum, and these run once per row.
_STEP_STATE = {state.value: state for state in StepState}
_DIRECTION = {direction.value: direction for direction in Direction}

# Places of what is stored in another form than it has.
_AT_STATE = STEP_COLUMNS.index("state")
_AT_DIRECTION = STEP_COLUMNS.index("direction")
_AT_FENCED = STEP_COLUMNS.index("fenced")
_AT_PIVOT = STEP_COLUMNS.index("pivot")
_AT_COMPENSATABLE = STEP_COLUMNS.index("compensatable")
_AT_TOUCHED = STEP_COLUMNS.index("touched")

# What a named tuple's own ``_make`` does, without its check of a length that the queries fix.
_tuple = tuple.__new__


def step_of(row: Sequence[Any]) -> Step:
    """Build a step from ``STEP_COLUMNS``."""
    return _step(list(row))


def candidate_of(row: Sequence[Any]) -> Candidate:
    """Build a candidate from ``STEP_COLUMNS`` and the fence of its target."""
    *values, fence = row
    return Candidate(_step(values), fence)


def _step(values: list[Any]) -> Step:
    values[_AT_STATE] = _STEP_STATE[values[_AT_STATE]]
    values[_AT_DIRECTION] = _DIRECTION[values[_AT_DIRECTION]]
    values[_AT_FENCED] = values[_AT_FENCED] != 0
    values[_AT_PIVOT] = values[_AT_PIVOT] != 0
    values[_AT_COMPENSATABLE] = values[_AT_COMPENSATABLE] != 0
    values[_AT_TOUCHED] = values[_AT_TOUCHED] != 0
    return _tuple(Step, values)


def step_row(migration: Migration, step_id: str, ordinal: int, plan: StepPlan, placement: str) -> Step:
    """Lay a planned step out as its row, blocked."""
    return Step(
        id=step_id,
        migration_id=migration.id,
        ordinal=ordinal,
        name=plan.name,
        kind=plan.kind,
        placement_class=placement,
        priority=migration.priority,
        state=StepState.BLOCKED,
        direction=Direction.FORWARD,
        ready_at=0.0,
        queue_deadline_at=None,
        attempts=0,
        failures=0,
        attempts_max=plan.attempts_max,
        target=plan.target,
        fenced=plan.fenced,
        pivot=plan.pivot,
        compensatable=plan.compensatable,
        touched=False,
        queue_s=plan.queue_s,
        start_to_finish_s=plan.start_to_finish_s,
        progress_s=plan.progress_s,
        backoff_initial_s=plan.backoff_initial_s,
        backoff_factor=plan.backoff_factor,
        backoff_max_s=plan.backoff_max_s,
        reason_code="",
        reason="",
        hint="",
        unreachable_for_s=plan.unreachable_for_s,
        unreachable_since=None,
        losses=0,
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
