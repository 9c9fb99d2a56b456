"""Going on after a person asked: fresh tries where it stopped, or everything from its first step on."""

from collections.abc import Sequence

from controlplane.core.changes import Changes, MoveMigration, MoveStep
from controlplane.core.events import Event, asked_by
from controlplane.core.migrations.restoring import is_refuted
from controlplane.core.model import Migration, Step
from controlplane.core.states import Direction, MigrationState, StepState, migration_after, step_after
from controlplane.core.steps.leasing import Refused

_TAKEN_BACK = frozenset({StepState.UNDONE, StepState.CANCELLED})


def retry(
    migration: Migration, steps: Sequence[Step], now: float, by: str = "", *, again: str = ""
) -> Changes | Refused:
    """Give failed or stuck steps a fresh set of tries; ``by`` names who asked.

    With ``again``, a failed migration begins again at its first step; ``again`` says why, for people.
    """
    if migration.state is MigrationState.FAILED:
        event = "MigrationRetried"
    elif migration.state is MigrationState.STUCK:
        event = "MigrationRestoreRetried" if any(map(is_refuted, steps)) else "MigrationUndoRetried"
    else:
        return Refused(f"the migration is {migration.state}: only a failed or stuck one can be retried")
    from_the_first = bool(again) and event == "MigrationRetried"
    changes = Changes()
    to_state = migration_after(migration.state, event, migration.id)
    changes.migration_moves.append(MoveMigration(migration.id, migration.state, to_state, "", None))
    detail = asked_by(by, f"begins again: {again}" if from_the_first else "")
    changes.events.append(Event(now, event, migration.id, migration.id, detail=detail))
    if from_the_first:
        _replan(steps, changes, now)
        return changes
    wanted = StepState.STUCK if migration.state is MigrationState.STUCK else StepState.FAILED
    for step in steps:
        if step.state is wanted:
            changes.step_moves.append(ready(step._replace(failures=0), now))
            changes.events.append(Event(now, "StepReadied", step.id, migration.id, detail="asked to retry"))
    return changes


def must_begin_again(steps: Sequence[Step]) -> str:
    """Return why a failed migration cannot go on where it stopped; empty when it can."""
    if any(step.state in _TAKEN_BACK for step in steps):
        return "what it had done was put back, so it reads the source again"
    if any(map(is_refuted, steps)):
        return "its proof failed, so it reads the source again"
    return ""


def is_past_pivot(steps: Sequence[Step]) -> bool:
    """Tell whether there is only forward: then a retry goes on where it stopped, whatever changed."""
    return any(step.pivot and step.state is StepState.SUCCEEDED for step in steps)


def ready(step: Step, now: float) -> MoveStep:
    """Bring a step to ready, with the deadline by which an agent must have taken it."""
    return MoveStep(
        step.id,
        step.state,
        StepState.READY,
        step.direction,
        ready_at=now,
        queue_deadline_at=now + step.queue_s,
        failures=step.failures,
    )


def _replan(steps: Sequence[Step], changes: Changes, now: float) -> None:
    """Block every step again, forward. What an earlier run left gives way to what the new one publishes."""
    for step in steps:
        if step.state is StepState.BLOCKED:
            continue
        to_state = step_after(step.state, "StepReplanned", step.id)
        changes.step_moves.append(MoveStep(step.id, step.state, to_state, Direction.FORWARD))
        changes.events.append(Event(now, "StepReplanned", step.id, step.migration_id, detail="asked to retry"))
