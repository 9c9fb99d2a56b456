"""How history goes: only what ended and was cleaned up, only what was archived, the oldest first."""

from controlplane.core.changes import Changes, KeepResult, MoveMigration
from controlplane.core.events import Event
from controlplane.core.migrations.clean_up import Kept
from controlplane.core.model import Migration
from controlplane.core.states import MigrationState, StepState
from controlplane.store.port import Tx
from controlplane.store.verbs.steps import Body
from tests.contract.store.moves import grant, insert, leave, move, plan
from tests.contract.store.under_test import StoreUnderTest
from tests.kit.builders import FENCE, NOW


def test_values_are_due_at_their_time_and_then_forgotten(store: StoreUnderTest) -> None:
    store.batch([lambda tx: tx.show_values("step_1", NOW + 5.0), lambda tx: tx.show_values("step_2", NOW + 9.0)])
    store.write(lambda tx: tx.show_values("step_1", NOW + 7.0))
    assert store.read(lambda tx: tx.values_due(NOW + 6.0, 9)) == []
    assert store.read(lambda tx: tx.values_due(NOW + 9.0, 1)) == ["step_1"]
    assert store.read(lambda tx: tx.values_due(NOW + 9.0, 9)) == ["step_1", "step_2"]
    store.write(lambda tx: tx.withhold_values("step_1", b""))
    assert store.read(lambda tx: tx.values_due(NOW + 9.0, 9)) == ["step_2"]


def over(tx: Tx, name: str, ended_at: float, cleaned: bool = True, state: StepState = StepState.SUCCEEDED) -> Migration:
    """A migration whose one step was tried, that succeeded at an instant."""
    migration, (step, _) = insert(tx, plan("load"), plan("next", needs=("load",)), name=name)
    attempt = grant(tx, step, fence=FENCE + int(migration.id[4:], 16))
    leave(tx, attempt, step, StepState.SUCCEEDED)
    move(tx, tx.steps_of(migration.id)[1], StepState.READY, state)
    changes = Changes(results=[KeepResult(step.id, b"proof")])
    changes.migration_moves.append(
        MoveMigration(migration.id, MigrationState.RUNNING, MigrationState.SUCCEEDED, "", ended_at)
    )
    tx.apply(changes)
    tx.put_kept(Kept(migration.id, None, None, NOW if cleaned else None, NOW))
    return migration


def test_what_ended_long_ago_and_was_cleaned_up_may_go(store: StoreUnderTest) -> None:
    later = store.write(lambda tx: over(tx, "later", NOW + 5.0))
    first = store.write(lambda tx: over(tx, "first", NOW))
    store.write(lambda tx: over(tx, "uncleaned", NOW, cleaned=False))
    store.write(lambda tx: over(tx, "open", NOW, state=StepState.READY))
    store.write(lambda tx: insert(tx, plan("load"), name="running"))

    def expired(before: float, limit: int = 9) -> list[str]:
        return store.read(lambda tx: tx.expired_migrations(before, limit))

    assert expired(NOW) == []
    assert expired(NOW + 9.0) == [first.id, later.id]
    assert expired(NOW + 9.0, limit=1) == [first.id]
    store.write(lambda tx: tx.compact_migration(first.id, NOW))
    assert expired(NOW + 9.0) == [later.id]


def test_a_compacted_migration_keeps_its_steps_and_what_they_proved(store: StoreUnderTest) -> None:
    gone, stays = (store.write(lambda tx, n=name: over(tx, n, NOW)) for name in ("gone", "stays"))  # type: ignore[misc]
    steps = store.read(lambda tx: tx.steps_of(gone.id))
    assert not store.read(lambda tx: tx.is_compacted(gone.id))
    store.write(lambda tx: tx.compact_migration(gone.id, NOW))
    assert store.read(lambda tx: (tx.is_compacted(gone.id), tx.is_compacted(stays.id))) == (True, False)
    assert store.read(lambda tx: tx.steps_of(gone.id)) == steps
    assert store.read(lambda tx: tx.body(steps[0].id)) == Body("", None, b"proof")
    assert store.read(lambda tx: (tx.attempts_of_migration(gone.id), tx.needs_of(gone.id))) == ([], {})
    assert len(store.read(lambda tx: tx.attempts_of_migration(stays.id))) == 1
    assert store.read(lambda tx: tx.migration_ids()) == [stays.id]


def test_only_archived_events_go_oldest_first(store: StoreUnderTest) -> None:
    store.write(lambda tx: tx.record([Event(NOW + n, f"E{n}", "ag_1") for n in range(4)]))
    assert store.read(lambda tx: (tx.archived_position(), tx.newest_archiving())) == (0, "")
    assert store.write(lambda tx: tx.drop_archived(9)) == 0
    store.write(lambda tx: tx.mark_archived(3))
    store.write(lambda tx: tx.record([Event(NOW, "EventsArchived", "audit", detail=text) for text in ("one", "two")]))
    assert store.read(lambda tx: (tx.archived_position(), tx.newest_archiving())) == (3, "two")
    assert store.write(lambda tx: tx.drop_archived(2)) == 2
    assert [row.position for row in store.read(lambda tx: tx.events_after(0, "", 2))] == [3, 4]
    assert store.write(lambda tx: tx.drop_archived(9)) == 1
    assert store.write(lambda tx: tx.drop_archived(9)) == 0
    assert store.read(lambda tx: tx.events_after(0, "", 1))[0].event.type == "E3"


def test_events_stay_that_are_young_or_of_a_migration_that_was_not_compacted(store: StoreUnderTest) -> None:
    store.write(lambda tx: tx.record([Event(NOW - 9.0, "Old", "ag_1")]))
    migration = store.write(lambda tx: over(tx, "m1", NOW))
    store.write(lambda tx: tx.record([Event(NOW + 9.0, "Young", "ag_1")]))
    last = store.read(lambda tx: tx.last_position())

    def first_kept(since: float) -> int:
        return store.read(lambda tx: tx.first_kept_position(since))

    assert [first_kept(since) for since in (NOW - 99.0, NOW + 5.0, NOW + 99.0)] == [1, 2, 2]
    store.write(lambda tx: tx.compact_migration(migration.id, NOW))
    assert [first_kept(since) for since in (NOW - 99.0, NOW + 5.0, NOW + 99.0)] == [1, last, last + 1]
