"""Things that happen to a migration in a store, each as one call."""

from collections.abc import Sequence
from typing import Any

from controlplane.core.changes import Changes, EndAttempt, GrantLease, MoveMigration, MoveStep
from controlplane.core.events import Event
from controlplane.core.migrations.resuming import ready
from controlplane.core.model import Attempt, Failure, Migration, Step, StepPlan, Use
from controlplane.core.states import AttemptState, Direction, MigrationState, StepState
from controlplane.store.port import Tx
from tests.contract.store.under_test import StoreUnderTest
from tests.kit.builders import NOW, a_migration, a_plan, an_attempt, class_for


def plan(name: str, **changes: Any) -> StepPlan:
    """A planned step with a target of its own."""
    return a_plan(name=name, **{"target": f"warehouse/{name}", **changes})


def insert(
    tx: Tx, *plans: StepPlan, name: str = "m1", readied: bool = True, **changes: Any
) -> tuple[Migration, list[Step]]:
    """Insert a migration of these steps; ``readied`` makes all of them ready now."""
    migration = a_migration(id=tx.next_ids("mig_", 1)[0], name=name, **changes)
    ids = tx.next_ids("step_", len(plans))
    tx.insert_migration(migration)
    tx.insert_steps(migration, ids, plans, [class_for(each) for each in plans])
    started = Changes()
    started.events.append(Event(NOW, "MigrationStarted", migration.id, migration.id))
    if readied:
        started.step_moves += [ready(step, NOW) for step in tx.steps_of(migration.id)]
    tx.apply(started)
    return migration, tx.steps_of(migration.id)


def insert_ready(store: StoreUnderTest, *plans: StepPlan, **changes: Any) -> list[Step]:
    """Insert a migration of these steps, all of them ready now."""
    return store.write(lambda tx: insert(tx, *plans, **changes))[1]


def attempt_at(step: Step, **changes: Any) -> Attempt:
    """The next try at ``step``."""
    number = step.attempts + 1
    return an_attempt(
        **{
            "id": f"att_{step.id[5:]}_{number}",
            "step_id": step.id,
            "migration_id": step.migration_id,
            "number": number,
            "target": step.target,
            **changes,
        }
    )


def grant(tx: Tx, step: Step, **changes: Any) -> Attempt:
    """Lease ``step``."""
    attempt = attempt_at(step, **changes)
    changed = Changes()
    changed.grants.append(GrantLease(attempt, step.state))
    changed.events.append(Event(NOW, "LeaseGranted", step.id, step.migration_id, attempt.id, "ag_1", attempt.fence))
    tx.apply(changed)
    return attempt


def end(
    tx: Tx,
    attempt: Attempt,
    state: AttemptState = AttemptState.SUCCEEDED,
    *,
    at: float = NOW + 1.0,
    failure: Failure | None = None,
    use: Use | None = None,
    fence: int | None = None,
) -> None:
    """End ``attempt``."""
    changed = Changes()
    changed.ends.append(EndAttempt(attempt.id, attempt.fence if fence is None else fence, state, at, failure, use))
    tx.apply(changed)


def move(
    tx: Tx, step: Step, from_state: StepState, to_state: StepState, direction: Direction = Direction.FORWARD
) -> None:
    """Move ``step``."""
    changed = Changes()
    changed.step_moves.append(
        MoveStep(
            step.id,
            from_state,
            to_state,
            direction,
            ready_at=NOW,
            queue_deadline_at=NOW + 9.0,
            failures=1,
            reason_code="code",
            reason="why",
            hint="how",
        )
    )
    tx.apply(changed)


def leave(
    tx: Tx,
    attempt: Attempt,
    step: Step,
    to_state: StepState,
    state: AttemptState = AttemptState.SUCCEEDED,
    at: float = NOW + 1.0,
) -> None:
    """End ``attempt`` and move its step on."""
    end(tx, attempt, state, at=at)
    move(tx, step, StepState.LEASED, to_state)


def turn(tx: Tx, migration: Migration, from_state: MigrationState, to_state: MigrationState) -> None:
    """Move ``migration``."""
    changed = Changes()
    changed.migration_moves.append(MoveMigration(migration.id, from_state, to_state, "why", NOW + 5.0))
    tx.apply(changed)


def names_of(events: Sequence[tuple[int, Event]]) -> list[str]:
    """Types of events in order."""
    return [event.type for _, event in events]
