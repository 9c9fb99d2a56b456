"""Migrations and their iterations: found by name and by destination, planned anew, summed up for people."""

from typing import Any

import pytest

from controlplane.core.changes import Changes, KeepResult
from controlplane.core.model import Migration, Use
from controlplane.core.states import Direction, MigrationState, StepState
from controlplane.store.port import Conflict, Tx
from controlplane.store.verbs.inventory import Resource
from controlplane.store.verbs.migrations import ReplannedStep, Selectable
from controlplane.store.verbs.steps import Body
from tests.contract.store.moves import end, grant, insert, leave, move, plan, turn
from tests.contract.store.under_test import StoreUnderTest
from tests.kit.builders import FENCE, NOW


def test_which_migrations_the_advancer_looks_at(store: StoreUnderTest) -> None:
    def look() -> list[str]:
        return store.read(lambda tx: tx.movable_migration_ids())

    waiting, (first, _) = store.write(lambda tx: insert(tx, plan("first"), plan("second", needs=("first",))))
    store.write(lambda tx: move(tx, tx.steps_of(waiting.id)[1], StepState.READY, StepState.BLOCKED))
    assert look() == []
    store.write(lambda tx: move(tx, first, StepState.READY, StepState.SUCCEEDED))
    assert look() == [waiting.id]
    undoing, _ = store.write(lambda tx: insert(tx, plan("a"), name="m2"))
    store.write(lambda tx: turn(tx, undoing, MigrationState.RUNNING, MigrationState.CANCELLING))
    assert look() == [waiting.id, undoing.id]
    store.write(lambda tx: turn(tx, undoing, MigrationState.CANCELLING, MigrationState.CANCELLED))
    assert look() == [waiting.id]


def test_migrations_are_summed_up_with_their_progress(store: StoreUnderTest) -> None:
    migration, (extract, load) = store.write(
        lambda tx: insert(tx, plan("extract", kind="extract"), plan("load", needs=("extract",)))
    )
    other, _ = store.write(lambda tx: insert(tx, plan("a"), name="m2", readied=False))
    attempt = store.write(lambda tx: grant(tx, extract))

    def succeed(tx: Tx) -> None:
        end(tx, attempt, use=Use(1.0, 2.0, 3, 4, 5))
        move(tx, extract, StepState.LEASED, StepState.SUCCEEDED)
        kept = Changes()
        kept.results.append(KeepResult(extract.id, b"parts"))
        tx.apply(kept)
        grant(tx, load)

    store.write(succeed)
    one, two = store.read(lambda tx: tx.summaries([], "", 9))
    assert (one.id, two.id) == (migration.id, other.id)
    assert (one.steps_done, one.steps_total, one.current_step) == (1, 2, "load")
    assert one.results == {"extract": b"parts"}
    assert two.results == {} and two.progress is None
    assert store.read(lambda tx: tx.summary(migration.id)) == one
    assert store.read(lambda tx: tx.summary("mig_none")) is None
    assert store.read(lambda tx: tx.summaries([], migration.id, 9)) == [two]
    assert store.read(lambda tx: tx.summaries([], "", 1)) == [one]
    store.write(lambda tx: turn(tx, other, MigrationState.RUNNING, MigrationState.FAILED))
    assert [row.name for row in store.read(lambda tx: tx.summaries(["failed", "stuck"], "", 9))] == ["m2"]
    assert store.read(lambda tx: tx.summaries(["stuck"], "", 9)) == []
    counts = store.read(lambda tx: tx.counts())
    assert counts.migrations == {"running": 1, "failed": 1}
    assert counts.steps == {"succeeded": 1, "leased": 1, "blocked": 1}


def ended(store: StoreUnderTest, name: str, state: MigrationState, **changes: Any) -> Migration:
    """A migration of one step that came to a state."""
    migration, _ = store.write(lambda tx: insert(tx, plan("load"), name=name, **changes))
    store.write(lambda tx: turn(tx, migration, MigrationState.RUNNING, state))
    found = store.read(lambda tx: tx.migration(migration.id))
    assert found is not None
    return found


def test_iterations_of_a_name_come_in_their_order(store: StoreUnderTest) -> None:
    first = ended(store, "m1", MigrationState.ROLLED_BACK)
    second = ended(store, "m1", MigrationState.SUCCEEDED, iteration=2)
    third, _ = store.write(lambda tx: insert(tx, plan("load"), name="m1", iteration=3))
    other, _ = store.write(lambda tx: insert(tx, plan("load"), name="m2"))
    assert store.read(lambda tx: tx.iterations_of("m1")) == [first, second, third]
    assert store.read(lambda tx: tx.iterations_of("m3")) == []
    assert store.read(lambda tx: tx.migration_by_name("m1")) == third
    assert store.read(lambda tx: tx.newest_iterations()) == {"m1": third, "m2": other}
    every = store.read(lambda tx: tx.summaries([], "", 9, every_iteration=True))
    assert [(row.name, row.iteration, row.iterations) for row in every] == [
        ("m1", 1, 3),
        ("m1", 2, 3),
        ("m1", 3, 3),
        ("m2", 1, 1),
    ]
    assert [row.id for row in store.read(lambda tx: tx.summaries([], "", 9))] == [third.id, other.id]
    summary = store.read(lambda tx: tx.summary(first.id))
    assert summary is not None and (summary.iteration, summary.state) == (1, MigrationState.ROLLED_BACK)


def test_migrations_are_found_by_where_they_publish(store: StoreUnderTest) -> None:
    here = "warehouse/a"
    late, _ = store.write(lambda tx: insert(tx, plan("load"), name="late", place=here, created_at=NOW + 5.0))
    failed = ended(store, "failed", MigrationState.FAILED, place=here)
    stuck = ended(store, "stuck", MigrationState.STUCK, place=here, created_at=NOW + 1.0)
    ended(store, "elsewhere", MigrationState.FAILED, place="warehouse/b")
    assert store.read(lambda tx: tx.migrations_at(here)) == [failed, stuck, late]
    assert store.read(lambda tx: tx.asking_at(here)) == [failed, stuck]
    assert store.read(lambda tx: (tx.migrations_at("none"), tx.asking_at("none"))) == ([], [])


def test_a_migration_has_published_under_the_fence_of_its_success_until_it_is_undone(store: StoreUnderTest) -> None:
    migration, (load, extract) = store.write(
        lambda tx: insert(tx, plan("load", target="warehouse/a"), plan("extract"), place="warehouse/a")
    )

    def published() -> int:
        return store.read(lambda tx: tx.published_fence(migration))

    assert published() == 0
    staged = store.write(lambda tx: grant(tx, extract, fence=FENCE + 9))
    store.write(lambda tx: leave(tx, staged, extract, StepState.SUCCEEDED))
    attempt = store.write(lambda tx: grant(tx, load, fence=FENCE + 3))
    assert published() == 0
    store.write(lambda tx: leave(tx, attempt, load, StepState.SUCCEEDED))
    assert published() == FENCE + 3
    store.write(lambda tx: move(tx, load, StepState.SUCCEEDED, StepState.UNDONE, Direction.UNDO))
    assert published() == 0


def test_what_a_migration_was_planned_from_is_kept(store: StoreUnderTest) -> None:
    assert store.read(lambda tx: tx.basis("mig_1")) == {}
    for basis in ({"Dataset/a": 1}, {"Dataset/a": 2, "Workflow/copy": 7}):
        store.write(lambda tx, basis=basis: tx.put_basis("mig_1", basis))  # type: ignore[misc]
        assert store.read(lambda tx: tx.basis("mig_1")) == basis
    assert store.read(lambda tx: tx.basis("mig_2")) == {}


def test_steps_are_planned_anew_all_or_none(store: StoreUnderTest) -> None:
    migration, (one, two) = store.write(lambda tx: insert(tx, plan("one"), plan("two")))
    known = ReplannedStep(one.id, "pc_new", "new", b"new")
    unknown = ReplannedStep(two.id, "pc_new", "later", None)
    with pytest.raises(Conflict):
        store.write(lambda tx: tx.replan(migration.id, "shop", [known, known._replace(step_id="step_none")]))
    with pytest.raises(Conflict):
        store.write(lambda tx: tx.replan("mig_none", "shop", [known]))
    assert store.read(lambda tx: tx.steps_of(migration.id)) == [one, two]
    store.write(lambda tx: tx.replan(migration.id, "shop", [known, unknown]))
    assert store.read(lambda tx: tx.migration(migration.id)) == migration._replace(source="shop")
    assert store.read(lambda tx: tx.steps_of(migration.id)) == [
        one._replace(placement_class="pc_new"),
        two._replace(placement_class="pc_new"),
    ]
    bodies = store.read(lambda tx: tx.bodies([one.id, two.id]))
    # The undo of what was done needs the parameters of before.
    assert (bodies[one.id], bodies[two.id]) == (Body("new", b"new", None), Body("later", b"params", None))


def test_what_an_undo_may_lose_is_remembered_of_one_migration(store: StoreUnderTest) -> None:
    for _ in range(2):
        store.write(lambda tx: tx.discard_changes("mig_2"))
    agreed = [store.read(lambda tx, id=id: tx.discards_changes(id)) for id in ("mig_1", "mig_2", "mig_3")]  # type: ignore[misc]
    assert agreed == [False, True, False]


def test_people_select_migrations_by_labels_owner_and_state(store: StoreUnderTest) -> None:
    labels = '{"labels":{"team":"ops"}}'
    store.write(
        lambda tx: tx.put_resources(
            [
                Resource("Migration", "applied", 1, "d", labels, '{"dataset":"crew"}', NOW),
                Resource("Migration", "started", 1, "d", "{}", '{"dataset":"none"}', NOW),
                Resource("Dataset", "crew", 1, "d", "{}", '{"owner":"hr"}', NOW),
            ]
        )
    )
    started = ended(store, "started", MigrationState.FAILED)
    deleted, _ = store.write(lambda tx: insert(tx, plan("load"), name="deleted", dataset="crew"))
    assert store.read(lambda tx: tx.selectable()) == [
        Selectable("applied", "", "", {"team": "ops"}, "hr"),
        Selectable("deleted", deleted.id, "running", {}, "hr"),
        Selectable("started", started.id, "failed", {}, ""),
    ]
    summary = store.read(lambda tx: tx.summary(deleted.id))
    assert summary is not None and (summary.labels, summary.owner) == ({}, "hr")


def test_ids_come_in_their_order(store: StoreUnderTest) -> None:
    ids = [store.write(lambda tx, n=n: insert(tx, plan("load"), name=f"m{n}"))[0].id for n in range(3)]  # type: ignore[misc]
    assert store.read(lambda tx: tx.migration_ids()) == ids
