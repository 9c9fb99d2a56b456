"""What of a migration is ready, what its end is, and in which order it is undone."""

from collections.abc import Mapping, Sequence

from controlplane.core.changes import Changes, EndAttempt, MoveMigration, MoveStep
from controlplane.core.events import Event, asked_by
from controlplane.core.leasing import Refused, end_of
from controlplane.core.model import Attempt, Failure, Migration, Step
from controlplane.core.states import (
    MIGRATION_ENDED,
    AttemptState,
    Direction,
    MigrationState,
    StepState,
    migration_after,
    step_after,
)

_UNDONE = frozenset({StepState.UNDONE, StepState.CANCELLED})


def advance(migration: Migration, steps: Sequence[Step], needs: Mapping[str, Sequence[str]], now: float) -> Changes:
    """Make ready what nothing earlier holds, and end the migration when nothing is left.

    ``needs`` maps a step id to the ids of the steps it needs. Idempotent: a second pass over the outcome changes
    nothing.
    """
    changes = Changes()
    undoing = migration.state in (MigrationState.CANCELLING, MigrationState.ROLLING_BACK)
    if not undoing and migration.state is not MigrationState.RUNNING:
        return changes
    state_of = {step.id: step.state for step in steps}
    held_by = _dependents(needs) if undoing else needs
    passed = _UNDONE if undoing else frozenset({StepState.SUCCEEDED})
    for step in steps:
        if step.state is StepState.BLOCKED and all(state_of[i] in passed for i in held_by.get(step.id, ())):
            changes.step_moves.append(ready(step, now))
            changes.events.append(Event(now, "StepReadied", step.id, migration.id))
            state_of[step.id] = StepState.READY
    _end(migration, set(state_of.values()), steps, changes, now, undoing=undoing)
    return changes


def ready(step: Step, now: float) -> MoveStep:
    """Bring a step to ready, with the deadline by which an agent must have taken it."""
    return MoveStep(
        step.id,
        step.state,
        StepState.READY,
        step.direction,
        now,
        now + step.queue_s,
        step.failures,
        "",
        "",
        "",
    )


def fail_waiting(step: Step, failure: Failure, now: float) -> Changes:
    """End a step that waits but cannot or should not go on."""
    to_state, event = end_of(step)
    changes = Changes()
    changes.step_moves.append(
        MoveStep(
            step.id,
            step.state,
            to_state,
            step.direction,
            0.0,
            None,
            step.failures,
            failure.code,
            failure.message,
            failure.hint,
        )
    )
    changes.events.append(Event(now, event, step.id, step.migration_id, detail=failure.message))
    return changes


def undo(
    migration: Migration,
    steps: Sequence[Step],
    live: Mapping[str, Attempt],
    *,
    ask: str,
    reason: str,
    now: float,
    by: str = "",
) -> Changes | Refused:
    """Plan the way back: ``ask`` is ``MigrationCancelAsked`` or ``MigrationRollbackAsked``.

    Every step that was ever granted is undone, also one whose attempts all failed: a stopped process may still hold
    it, and only the higher fence that undo leaves at the destination keeps such a latecomer out.
    ``live`` maps a step id to its running attempt; ``by`` names who asked.
    """
    for step in steps:
        if step.pivot and step.state is StepState.SUCCEEDED:
            return Refused(f"step {step.name} is the pivot and has succeeded: from here there is only forward")
        if step.pivot and step.state is StepState.LEASED:
            # It may have taken effect already, unreported: undoing what came before it could lose the data.
            return Refused(f"step {step.name} is the pivot and is running: ask again once it has ended")
    if migration.state in MIGRATION_ENDED and migration.state is not MigrationState.SUCCEEDED:
        return Refused(f"the migration is already {migration.state}")
    if migration.state is MigrationState.STUCK:
        return Refused("the migration is stuck: retry its undo with `haulier migration retry`")
    if migration.state in (MigrationState.CANCELLING, MigrationState.ROLLING_BACK):
        return Refused(f"the migration is already {migration.state}")
    if migration.state is MigrationState.SUCCEEDED and ask == "MigrationCancelAsked":
        return Refused("the migration has succeeded: undo it with `haulier migration rollback`")
    changes = Changes()
    to_state = migration_after(migration.state, ask)
    changes.migration_moves.append(MoveMigration(migration.id, migration.state, to_state, reason, None))
    changes.events.append(Event(now, ask, migration.id, migration.id, detail=asked_by(by, reason)))
    for step in steps:
        attempt = live.get(step.id)
        if attempt is not None:
            failure = Failure("cancelled", reason)
            changes.ends.append(EndAttempt(attempt.id, attempt.fence, AttemptState.CANCELLED, now, failure, None))
            changes.events.append(
                Event(
                    now,
                    "AttemptCancelled",
                    step.id,
                    migration.id,
                    attempt.id,
                    attempt.agent_id,
                    attempt.fence,
                    reason,
                )
            )
        # A pivot that was tried may have taken effect, or may yet: its undo restores, and keeps the latecomer out.
        event = "StepUndoPlanned" if step.touched and (step.compensatable or step.pivot) else "StepCancelled"
        direction = Direction.UNDO if event == "StepUndoPlanned" else step.direction
        changes.step_moves.append(
            MoveStep(step.id, step.state, step_after(step.state, event), direction, 0.0, None, 0, "", reason, "")
        )
        changes.events.append(Event(now, event, step.id, migration.id, detail=reason))
    return changes


def retry(migration: Migration, steps: Sequence[Step], now: float, by: str = "") -> Changes | Refused:
    """Give failed or stuck steps a fresh set of tries; ``by`` names who asked."""
    event = {
        MigrationState.FAILED: "MigrationRetried",
        MigrationState.STUCK: "MigrationUndoRetried",
    }.get(migration.state)
    if event is None:
        return Refused(f"the migration is {migration.state}: only a failed or stuck one can be retried")
    changes = Changes()
    to_state = migration_after(migration.state, event)
    changes.migration_moves.append(MoveMigration(migration.id, migration.state, to_state, "", None))
    changes.events.append(Event(now, event, migration.id, migration.id, detail=asked_by(by)))
    for step in steps:
        if step.state in (StepState.FAILED, StepState.STUCK):
            changes.step_moves.append(ready(step._replace(failures=0), now))
            changes.events.append(Event(now, "StepReadied", step.id, migration.id, detail="asked to retry"))
    return changes


def _dependents(needs: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Turn the edges round: who needs this step."""
    turned: dict[str, list[str]] = {}
    for step_id, needed in needs.items():
        for needed_id in needed:
            turned.setdefault(needed_id, []).append(step_id)
    return turned


def _end(
    migration: Migration,
    states: set[StepState],
    steps: Sequence[Step],
    changes: Changes,
    now: float,
    *,
    undoing: bool,
) -> None:
    """Append the migration's end to ``changes`` when its steps allow one."""
    if StepState.READY in states or StepState.LEASED in states:
        return
    reason = ""
    if undoing:
        if states <= _UNDONE:
            event = "MigrationCancelled" if migration.state is MigrationState.CANCELLING else "MigrationRolledBack"
            reason = migration.reason
        elif StepState.STUCK in states:
            event = "MigrationStuck"
            reason = _reason(steps, StepState.STUCK)
        else:
            return
    elif StepState.FAILED in states:
        event = "MigrationFailed"
        reason = _reason(steps, StepState.FAILED)
    elif states == {StepState.SUCCEEDED}:
        event = "MigrationSucceeded"
    else:
        return
    to_state = migration_after(migration.state, event)
    changes.migration_moves.append(MoveMigration(migration.id, migration.state, to_state, reason, now))
    changes.events.append(Event(now, event, migration.id, migration.id, detail=reason))


def _reason(steps: Sequence[Step], state: StepState) -> str:
    """Name the first step in ``state`` and why."""
    step = next(step for step in steps if step.state is state)
    return f"step {step.name}: {step.reason}"
