"""What of a migration is ready, what its end is, and in which order it is undone."""

from collections.abc import Mapping, Sequence

from controlplane.core.changes import Changes, EndAttempt, MoveMigration, MoveStep
from controlplane.core.events import Event, asked_by
from controlplane.core.migrations.restoring import (
    BACK,
    back_event,
    can_put_back,
    is_refuted,
    put_back,
    turn_back,
    why_refuted,
)
from controlplane.core.migrations.resuming import ready
from controlplane.core.model import Attempt, Failure, Migration, Step
from controlplane.core.states import (
    MIGRATION_ENDED,
    MIGRATION_UNDOING,
    AttemptState,
    MigrationState,
    StepState,
    migration_after,
)
from controlplane.core.steps.leasing import Refused, end_of

_UNDONE = frozenset({StepState.UNDONE, StepState.CANCELLED})
# Ends from which there is a way back.
_ENDED_AS = {MigrationState.SUCCEEDED: "succeeded", MigrationState.SUPERSEDED: "been superseded"}
_UNDOABLE_ENDS = frozenset(_ENDED_AS)
# By this code a destination says that another migration has published over this one.
PUBLISHED_OVER = "published_over"


def advance(migration: Migration, steps: Sequence[Step], needs: Mapping[str, Sequence[str]], now: float) -> Changes:
    """Make ready what nothing earlier holds, and end the migration when nothing is left.

    ``needs`` maps a step id to the ids of the steps it needs. Idempotent: a second pass over the outcome changes
    nothing.
    """
    changes = Changes()
    undoing = migration.state in MIGRATION_UNDOING
    if not undoing and migration.state is not MigrationState.RUNNING:
        return changes
    state_of = {step.id: step.state for step in steps}
    held_by = _dependents(needs) if undoing else needs
    passed = {step.id for step in steps if _has_passed(step, undoing=undoing)}
    for step in steps:
        if step.state is StepState.BLOCKED and passed.issuperset(held_by.get(step.id, ())):
            changes.step_moves.append(ready(step, now))
            changes.events.append(Event(now, "StepReadied", step.id, migration.id))
            state_of[step.id] = StepState.READY
    if StepState.READY in state_of.values() or StepState.LEASED in state_of.values():
        return changes
    end = _end_undoing(migration, steps) if undoing else _end_forward(steps)
    if end == _REFUTED:
        changes = put_back(migration, steps, now)
        changes.extend(advance(*_after(migration, steps, changes), needs, now))
        return changes
    if end is not None:
        event, reason = end
        to_state = migration_after(migration.state, event, migration.id)
        changes.migration_moves.append(MoveMigration(migration.id, migration.state, to_state, reason, now))
        changes.events.append(Event(now, event, migration.id, migration.id, detail=reason))
    return changes


def _after(migration: Migration, steps: Sequence[Step], changes: Changes) -> tuple[Migration, list[Step]]:
    """Return a migration and its steps as ``changes`` leave them, as far as a look at what is ready needs them."""
    moved = {move.step_id: move for move in changes.step_moves}
    after = [step if step.id not in moved else _moved(step, moved[step.id]) for step in steps]
    return migration._replace(state=changes.migration_moves[0].to_state), after


def _moved(step: Step, move: MoveStep) -> Step:
    # The tries that its undo has are its own: those of the way forward are not counted against it.
    return step._replace(state=move.to_state, direction=move.direction, failures=move.failures)


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
            failures=step.failures,
            reason_code=failure.code,
            reason=failure.message,
            hint=failure.hint,
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
    """Plan the way back: ``ask`` is ``MigrationCancelAsked`` or ``MigrationRollbackAsked``. What is undone stays so.

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
    if migration.state in MIGRATION_ENDED - _UNDOABLE_ENDS:
        return Refused(f"the migration is already {migration.state}")
    if migration.state is MigrationState.STUCK:
        return Refused(
            f"the migration is stuck: `haulier migration retry {migration.name}` undoes it again, and "
            f"`haulier migration accept {migration.name} --reason TEXT` or `abandon` end it as it is"
        )
    if migration.state in (MigrationState.CANCELLING, MigrationState.ROLLING_BACK):
        return Refused(f"the migration is already {migration.state}")
    if migration.state in _UNDOABLE_ENDS and ask == "MigrationCancelAsked":
        undoing = f"`haulier migration rollback {migration.name} --reason TEXT`"
        return Refused(f"the migration has {_ENDED_AS[migration.state]}: undo it with {undoing}")
    changes = Changes()
    to_state = migration_after(migration.state, ask, migration.id)
    changes.migration_moves.append(MoveMigration(migration.id, migration.state, to_state, reason, None))
    changes.events.append(Event(now, ask, migration.id, migration.id, detail=asked_by(by, reason)))
    for step in steps:
        attempt = live.get(step.id)
        if attempt is not None:
            failure = Failure("cancelled", reason)
            changes.ends.append(EndAttempt(attempt.id, attempt.fence, AttemptState.CANCELLED, now, failure, None))
            changes.events.append(
                Event(
                    at=now,
                    type="AttemptCancelled",
                    subject=step.id,
                    migration_id=migration.id,
                    attempt_id=attempt.id,
                    agent_id=attempt.agent_id,
                    fence=attempt.fence,
                    detail=reason,
                )
            )
        if step.state not in _UNDONE:
            event = back_event(step)
            changes.step_moves.append(turn_back(step, reason))
            changes.events.append(Event(now, event, step.id, migration.id, detail=reason))
    return changes


def _dependents(needs: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Turn the edges round: who needs this step."""
    turned: dict[str, list[str]] = {}
    for step_id, needed in needs.items():
        for needed_id in needed:
            turned.setdefault(needed_id, []).append(step_id)
    return turned


_REFUTED = ("MigrationRefuted", "")


def _has_passed(step: Step, *, undoing: bool) -> bool:
    """Tell whether a step holds nothing back any more, in the direction that the migration goes."""
    if undoing:
        return step.state in _UNDONE or is_refuted(step)
    return step.state is StepState.SUCCEEDED


def _end_forward(steps: Sequence[Step]) -> tuple[str, str] | None:
    """Return the event and the reason by which a forward migration ends, with nothing ready or leased."""
    states = {step.state for step in steps}
    if StepState.FAILED in states:
        if can_put_back(steps):
            return _REFUTED
        return _superseded(steps) or ("MigrationFailed", _reason(steps, StepState.FAILED))
    return ("MigrationSucceeded", "") if states == {StepState.SUCCEEDED} else None


def _end_undoing(migration: Migration, steps: Sequence[Step]) -> tuple[str, str] | None:
    """Return the event and the reason by which the way back ends, with nothing ready or leased."""
    restoring = migration.state is MigrationState.RESTORING
    if all(_has_passed(step, undoing=True) for step in steps):
        if restoring:
            return "MigrationFailed", f"{why_refuted(migration, steps)}; {BACK}"
        cancelling = migration.state is MigrationState.CANCELLING
        return "MigrationCancelled" if cancelling else "MigrationRolledBack", migration.reason
    if not any(step.state is StepState.STUCK for step in steps):
        return None
    reason = _reason(steps, StepState.STUCK)
    if restoring:
        reason = f"{reason}; it was to be put back because {why_refuted(migration, steps)}"
    return _superseded(steps) or ("MigrationStuck", reason)


def _superseded(steps: Sequence[Step]) -> tuple[str, str] | None:
    """Return the end of a migration over which, as a destination said, another one has published."""
    for step in steps:
        if step.state in (StepState.FAILED, StepState.STUCK) and step.reason_code == PUBLISHED_OVER:
            return "MigrationSuperseded", f"superseded: step {step.name}: {step.reason}"
    return None


def _reason(steps: Sequence[Step], state: StepState) -> str:
    """Name the first step in ``state`` and why."""
    step = next(step for step in steps if step.state is state)
    return f"step {step.name}: {step.reason}"
