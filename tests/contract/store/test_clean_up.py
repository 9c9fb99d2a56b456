"""What a store knows of leftovers: terms, what is due in which order, and what is counted."""

from controlplane.core.changes import Changes, MoveMigration, MoveStep
from controlplane.core.migrations.clean_up import CLEAN_UP, Kept
from controlplane.core.states import MIGRATION_ENDED, Direction, MigrationState, StepState
from controlplane.store.port import Tx
from controlplane.store.verbs.clean_up import Leftovers
from tests.contract.store.moves import insert, plan
from tests.contract.store.under_test import StoreUnderTest
from tests.kit.builders import NOW

DEFAULT, FOR_EVER = Kept("", 100.0, 1000.0), 1e9


def ended(tx: Tx, name: str, ended_at: float, staged_s: float | None = None, former_s: float | None = None) -> str:
    """A migration that has succeeded, with these terms."""
    migration, _ = insert(tx, plan("load"), name=name)
    tx.put_kept(Kept(migration.id, staged_s, former_s))
    changes = Changes()
    changes.migration_moves.append(
        MoveMigration(migration.id, MigrationState.RUNNING, MigrationState.SUCCEEDED, "", ended_at)
    )
    tx.apply(changes)
    return migration.id


def due(tx: Tx, now: float, limit_s: float = FOR_EVER, limit: int = 9) -> list[str]:
    return tx.clean_ups_due(MIGRATION_ENDED, DEFAULT, limit_s, now, limit)


def test_terms_are_kept_and_changed(store: StoreUnderTest) -> None:
    assert store.read(lambda tx: tx.kept("mig_1")) is None
    for kept in (Kept("mig_1", 1.0, None), Kept("mig_1", 1.0, 2.0, NOW, None)):
        store.write(lambda tx, kept=kept: tx.put_kept(kept))  # type: ignore[misc]
        assert store.read(lambda tx: tx.kept("mig_1")) == kept


def test_what_is_due_comes_longest_ended_first(store: StoreUnderTest) -> None:
    later = store.write(lambda tx: ended(tx, "later", NOW + 5.0))
    first = store.write(lambda tx: ended(tx, "first", NOW))
    own = store.write(lambda tx: ended(tx, "own", NOW + 1.0, staged_s=5000.0, former_s=6000.0))
    store.write(lambda tx: insert(tx, plan("load"), name="running"))
    assert store.read(lambda tx: due(tx, NOW + 99.0)) == []
    assert store.read(lambda tx: due(tx, NOW + 100.0)) == [first]
    assert store.read(lambda tx: due(tx, NOW + 2000.0)) == [first, later]
    assert store.read(lambda tx: due(tx, NOW + 5001.0)) == [first, own, later]
    assert store.read(lambda tx: due(tx, NOW + 5001.0, limit=2)) == [first, own]
    assert store.read(lambda tx: due(tx, NOW + 60.0, limit_s=50.0)) == [first, own, later]
    store.write(lambda tx: tx.put_kept(Kept(first, None, None, NOW, NOW)))
    store.write(lambda tx: tx.put_kept(Kept(later, None, None, NOW, None)))
    assert store.read(lambda tx: due(tx, NOW + 500.0)) == []
    assert store.read(lambda tx: due(tx, NOW + 2000.0)) == [later]
    assert store.read(lambda tx: tx.uncleaned_migrations(MIGRATION_ENDED)) == [later, own]


def test_leftovers_are_counted_with_their_next_instant_and_with_what_failed(store: StoreUnderTest) -> None:
    assert store.read(lambda tx: tx.leftovers(DEFAULT, FOR_EVER, 9)) == Leftovers(0, None, 0, None, [])
    first = store.write(lambda tx: ended(tx, "first", NOW))
    store.write(lambda tx: ended(tx, "second", NOW + 1.0))
    store.write(lambda tx: tx.put_kept(Kept(first, None, None, NOW, None)))

    def fail_clean_up(tx: Tx, migration_id: str) -> None:
        migration = tx.migration(migration_id)
        assert migration is not None
        (step_id,) = tx.next_ids("step_", 1)
        tx.insert_steps(migration, [step_id], [plan("load.clean-up", kind=CLEAN_UP)], ["class"], 1)
        changes = Changes()
        changes.step_moves.append(
            MoveStep(step_id, StepState.BLOCKED, StepState.FAILED, Direction.FORWARD, reason_code="code", reason="why")
        )
        tx.apply(changes)

    store.write(lambda tx: fail_clean_up(tx, first))
    assert [step.ordinal for step in store.read(lambda tx: tx.steps_of(first))] == [0, 1]
    found = store.read(lambda tx: tx.leftovers(DEFAULT, FOR_EVER, 9))
    assert found == Leftovers(1, NOW + 101.0, 2, NOW + 1000.0, ["first"])
    assert store.read(lambda tx: tx.uncleaned_migrations([MigrationState.CANCELLED])) == []
    store.write(lambda tx: tx.put_kept(Kept(first, None, None, NOW, NOW)))
    assert first in store.read(lambda tx: tx.uncleaned_migrations(MIGRATION_ENDED))
    early = store.write(lambda tx: ended(tx, "early", NOW))
    store.write(lambda tx: fail_clean_up(tx, early))
    names = [store.read(lambda tx, n=n: tx.leftovers(DEFAULT, FOR_EVER, n)).failed for n in (9, 1)]  # type: ignore[misc]
    assert names == [["early", "first"], ["early"]]
