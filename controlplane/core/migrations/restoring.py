"""What a refuted proof leads to: the former content is put back before the migration ends failed."""

from collections.abc import Sequence

from controlplane.core.changes import Changes, MoveMigration, MoveStep
from controlplane.core.events import Event
from controlplane.core.model import Migration, Step
from controlplane.core.states import Direction, MigrationState, StepState, migration_after, step_after

# Codes by which a step says that what it looked at is not what it should be; any other failure proves nothing.
REFUTING = frozenset({"verification_failed"})
BACK = "the former content is back"


def is_refuted(step: Step) -> bool:
    """Tell whether a step has found the migrated data to be wrong; such a step only reads, so it is never undone."""
    only_reads = not step.compensatable and not step.pivot
    return step.state is StepState.FAILED and step.reason_code in REFUTING and only_reads


def leaves_something(step: Step) -> bool:
    """Tell whether a step was tried and may have left something that an undo takes back."""
    # A pivot that was tried may have taken effect, or may yet: its undo restores, and keeps the latecomer out.
    return step.touched and (step.compensatable or step.pivot)


def can_put_back(steps: Sequence[Step]) -> bool:
    """Tell whether a refuted proof is answered by an undo: not past a pivot, and only where there is something."""
    if any(step.pivot and step.state is StepState.SUCCEEDED for step in steps):
        return False
    return any(map(is_refuted, steps)) and any(map(leaves_something, steps))


def put_back(migration: Migration, steps: Sequence[Step], now: float) -> Changes:
    """Plan the undo of everything but the proof that failed, which stays as the reason of it all."""
    proof = next(step for step in steps if is_refuted(step))
    reason = f"step {proof.name}: {proof.reason}"
    changes = Changes()
    to_state = migration_after(migration.state, "MigrationRefuted", migration.id)
    changes.migration_moves.append(MoveMigration(migration.id, migration.state, to_state, reason, None))
    changes.events.append(Event(now, "MigrationRefuted", migration.id, migration.id, detail=reason))
    for step in steps:
        if not is_refuted(step):
            changes.step_moves.append(turn_back(step, f"step {proof.name} failed"))
            event = back_event(step)
            changes.events.append(Event(now, event, step.id, migration.id, detail=f"step {proof.name} failed"))
    return changes


def back_event(step: Step) -> str:
    """Name the event by which a step turns to the way back: undone later, or over at once."""
    return "StepUndoPlanned" if leaves_something(step) and not is_refuted(step) else "StepCancelled"


def turn_back(step: Step, reason: str) -> MoveStep:
    """Bring a step to its way back."""
    event = back_event(step)
    direction = Direction.UNDO if event == "StepUndoPlanned" else step.direction
    return MoveStep(step.id, step.state, step_after(step.state, event, step.id), direction, reason=reason)


def why_refuted(migration: Migration, steps: Sequence[Step]) -> str:
    """Return what the failed proof said; for a migration that is being restored."""
    assert migration.state is MigrationState.RESTORING, "only then is there a refuted proof for certain"
    proof = next(step for step in steps if is_refuted(step))
    return f"step {proof.name}: {proof.reason}"
