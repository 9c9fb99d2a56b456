"""Steps: read back as they were planned, found in order when they may start, counted where they wait."""

import pytest

from controlplane.core.changes import Changes, KeepResult
from controlplane.core.model import Candidate, Requirements, Step
from controlplane.core.states import AttemptState, Direction, MigrationState, StepState
from controlplane.core.steps.admission import Full
from controlplane.store.port import Conflict
from controlplane.store.verbs.steps import Backlog, Body
from tests.contract.store.moves import grant, insert, insert_ready, leave, move, plan, turn
from tests.contract.store.under_test import StoreUnderTest
from tests.kit.builders import FENCE, NOW, a_plan, class_for

LOAD = class_for(a_plan())
NEVER = 0.0


def found(store: StoreUnderTest, at: float = NOW, limit: int = 100, unseen_until: float = NEVER) -> list[str]:
    candidates = store.read(lambda tx: tx.candidates(LOAD, at, unseen_until, limit))
    return [candidate.step.name for candidate in candidates]


def test_what_was_planned_is_read_back_whole(store: StoreUnderTest) -> None:
    plans = [
        plan("extract", kind="extract", requirements=Requirements("extract", ("lake",), (("zone", "a"),))),
        plan("load", needs=("extract",), params=None, template="{}", pivot=True, fenced=False, compensatable=False),
        plan("check", needs=("extract", "load"), start_to_finish_s=7.0, progress_s=3.0, attempts_max=9, queue_s=5.0),
    ]
    migration, steps = store.write(lambda tx: insert(tx, *plans, readied=False, priority=4))
    assert [step.name for step in steps] == ["extract", "load", "check"]
    assert store.read(lambda tx: tx.steps_of(migration.id)) == steps
    extract, load, check = steps
    assert store.read(lambda tx: tx.steps([check.id, extract.id, "step_none"])) == {s.id: s for s in (extract, check)}
    assert store.read(lambda tx: tx.step_named(migration.id, "load")) == load
    assert store.read(lambda tx: tx.step_named(migration.id, "lod")) is None
    needs = store.read(lambda tx: tx.needs_of(migration.id))
    assert {key: set(value) for key, value in needs.items()} == {
        load.id: {extract.id},
        check.id: {extract.id, load.id},
    }
    assert (load.pivot, load.fenced, load.compensatable, load.touched) == (True, False, False, False)
    assert (check.start_to_finish_s, check.progress_s, check.attempts_max, check.queue_s) == (7.0, 3.0, 9, 5.0)
    assert {step.priority for step in steps} == {4} and {step.state for step in steps} == {StepState.BLOCKED}
    assert store.read(lambda tx: tx.body(load.id)) == Body("{}", None, None)
    assert store.read(lambda tx: tx.bodies([load.id, extract.id]))[extract.id].params == b"params"
    assert store.read(lambda tx: tx.body("step_none")) is None
    assert store.read(lambda tx: tx.migration(migration.id)) == migration
    assert store.read(lambda tx: tx.migration_by_name("m1")) == migration
    assert store.read(lambda tx: tx.migration("mig_none")) is None
    assert store.read(lambda tx: tx.newest_iterations()) == {"m1": migration}
    assert store.read(lambda tx: tx.migration_ids()) == [migration.id]


def test_candidates_are_ready_best_first(store: StoreUnderTest) -> None:
    insert_ready(store, plan("low"), name="one", priority=0)
    insert_ready(store, plan("a"), plan("b"), name="two", priority=5)
    insert_ready(store, plan("blocked"), name="three", priority=9, readied=False)
    other = plan("elsewhere", requirements=Requirements("extract"))
    insert_ready(store, other, name="four", priority=9)
    assert found(store) == ["a", "b", "low"]
    assert found(store, limit=2) == ["a", "b"]
    assert found(store, at=NOW - 0.001) == []
    assert store.read(lambda tx: tx.ready_count(LOAD, NOW, 100)) == 3
    assert store.read(lambda tx: tx.ready_count(LOAD, NOW, 2)) == 2
    assert store.read(lambda tx: tx.ready_count(LOAD, NOW - 0.001, 2)) == 0


def test_candidates_go_by_the_start_of_their_migration_not_by_when_they_became_ready(store: StoreUnderTest) -> None:
    _, then = insert_ready(store, plan("first"), plan("then"), name="one")
    insert_ready(store, plan("later"), name="two")
    attempt = store.write(lambda tx: grant(tx, then))
    store.write(lambda tx: leave(tx, attempt, then, StepState.READY, AttemptState.FAILED, at=NOW + 5.0))
    assert found(store, at=NOW + 9.0) == ["first", "then", "later"]


def test_under_limits_what_is_under_way_goes_on_and_nothing_else_begins(store: StoreUnderTest) -> None:
    def within(full: Full, limit: int = 9) -> list[str]:
        candidates = store.read(lambda tx: tx.candidates_within(LOAD, NOW, NEVER, full, limit))
        return [candidate.step.name for candidate in candidates]

    begun, _ = insert_ready(store, plan("begun"), plan("going-on"), name="one")
    insert_ready(store, plan("waits"), name="two")
    insert_ready(store, plan("elsewhere"), name="three", source="shop", destination="vault")
    assert store.read(lambda tx: tx.under_way()) == []
    attempt = store.write(lambda tx: grant(tx, begun))
    (row,) = store.read(lambda tx: tx.under_way())
    assert (row.id, row.name, row.source, row.destination) == (begun.migration_id, "one", "lake", "warehouse")
    assert within(Full(False, frozenset())) == ["going-on", "waits", "elsewhere"]
    assert within(Full(False, frozenset({"warehouse"}))) == ["going-on", "elsewhere"]
    assert within(Full(False, frozenset({"lake", "vault"}))) == ["going-on"]
    assert within(Full(False, frozenset()), limit=2) == ["going-on", "waits"]
    assert within(Full(True, frozenset())) == ["going-on"]
    store.write(lambda tx: leave(tx, attempt, begun, StepState.FAILED, AttemptState.FAILED))
    migration = store.read(lambda tx: tx.migration(begun.migration_id))
    assert migration is not None
    store.write(lambda tx: turn(tx, migration, MigrationState.RUNNING, MigrationState.FAILED))
    assert store.read(lambda tx: tx.under_way()) == []
    assert within(Full(True, frozenset())) == []


def test_a_step_may_be_given_longer_to_wait(store: StoreUnderTest) -> None:
    (step,) = insert_ready(store, plan("load", queue_s=5.0))
    assert store.read(lambda tx: [each.id for each in tx.overdue_steps(NOW + 6.0, 9)]) == [step.id]
    store.write(lambda tx: tx.wait_on(step.id, NOW + 11.0))
    assert store.read(lambda tx: tx.overdue_steps(NOW + 6.0, 9)) == []
    with pytest.raises(Conflict):
        store.write(lambda tx: tx.wait_on("step_none", NOW))


def test_a_candidate_knows_the_highest_fence_of_its_target(store: StoreUnderTest) -> None:
    one, other = insert_ready(store, plan("one", target="t"), plan("other", target="t"))
    assert store.read(lambda tx: tx.candidates(LOAD, NOW, NEVER, 9)) == [Candidate(one, 0), Candidate(other, 0)]
    attempt = store.write(lambda tx: grant(tx, one))
    # The target has a live writer: nobody else is offered.
    assert found(store) == []
    store.write(lambda tx: leave(tx, attempt, one, StepState.SUCCEEDED))
    assert store.read(lambda tx: tx.candidates(LOAD, NOW, NEVER, 9)) == [Candidate(other, FENCE)]


@pytest.mark.parametrize("state", [AttemptState.LOST, AttemptState.CANCELLED])
def test_a_target_without_a_fence_is_left_alone_after_a_writer_that_nobody_saw_end(
    store: StoreUnderTest, state: AttemptState
) -> None:
    first, unfenced, fenced = insert_ready(
        store, plan("first", target="t"), plan("unfenced", target="t", fenced=False), plan("fenced", target="t")
    )
    attempt = store.write(lambda tx: grant(tx, first))
    store.write(lambda tx: leave(tx, attempt, first, StepState.FAILED, state, at=NOW + 10.0))
    assert found(store, unseen_until=NOW + 9.0) == [fenced.name]
    assert found(store, unseen_until=NOW + 10.0) == [unfenced.name, fenced.name]
    assert store.read(lambda tx: tx.unseen_end("t")) == NOW + 10.0
    assert store.read(lambda tx: tx.unseen_end("elsewhere")) is None
    assert store.read(lambda tx: tx.unconfirmed("t", 9)) == [attempt.id]
    assert store.read(lambda tx: tx.unconfirmed("elsewhere", 9)) == []


def test_overdue_steps_are_ready_and_past_their_deadline(store: StoreUnderTest) -> None:
    insert_ready(store, plan("early", queue_s=10.0), plan("late", queue_s=20.0), plan("patient", queue_s=900.0))

    def names(at: float, limit: int = 9) -> list[str]:
        return [step.name for step in store.read(lambda tx: tx.overdue_steps(at, limit))]

    assert names(NOW + 10.0) == []
    assert names(NOW + 30.0) == ["early", "late"]
    assert names(NOW + 30.0, limit=1) == ["early"]


def test_which_migrations_the_end_of_steps_moves_on(store: StoreUnderTest) -> None:
    first, second, alone = insert_ready(store, plan("first"), plan("second", needs=("first",)), plan("alone"))

    def moved(*steps: Step) -> list[str]:
        return store.read(lambda tx: tx.moved_on_by([step.id for step in steps]))

    everything = [first.migration_id]
    assert moved() == []
    # Somebody needs it.
    assert moved(first) == moved(first, alone) == everything
    # Nobody needs it, and others are yet to end.
    assert moved(alone) == []
    # Nobody needs it, and it was the last to end, though another is blocked for ever.
    store.write(lambda tx: move(tx, first, StepState.READY, StepState.FAILED))
    store.write(lambda tx: move(tx, second, StepState.READY, StepState.BLOCKED))
    store.write(lambda tx: move(tx, alone, StepState.READY, StepState.SUCCEEDED))
    assert moved(alone) == everything


def test_on_the_way_back_the_end_of_a_step_frees_those_that_it_needed(store: StoreUnderTest) -> None:
    _, second, _ = insert_ready(store, plan("first"), plan("second", needs=("first",)), plan("other"))
    # Nobody needs it and another is yet to end, as forward; only the direction differs.
    store.write(lambda tx: move(tx, second, StepState.READY, StepState.UNDONE, Direction.UNDO))
    assert store.read(lambda tx: tx.moved_on_by([second.id])) == [second.migration_id]


def test_placement_classes_are_kept_once(store: StoreUnderTest) -> None:
    requirements = Requirements("load", ("lake",), (("zone", "a"),))
    store.write(lambda tx: tx.put_class("pc_1", requirements))
    store.write(lambda tx: tx.put_class("pc_1", Requirements("extract")))
    assert store.read(lambda tx: tx.classes()) == {"pc_1": requirements}


def test_results_of_work_that_was_undone_are_forgotten(store: StoreUnderTest) -> None:
    one, other, none = insert_ready(store, plan("one"), plan("other"), plan("none"))
    kept = Changes(results=[KeepResult(step.id, b"parts") for step in (one, other)])
    store.write(lambda tx: tx.apply(kept))
    store.write(lambda tx: tx.forget_results([one.id, none.id, "step_none"]))
    bodies = store.read(lambda tx: tx.bodies([one.id, other.id, none.id]))
    assert [bodies[step.id].result for step in (one, other, none)] == [None, b"parts", None]
    assert bodies[one.id].params == b"params"


def test_the_backlog_counts_what_waits_and_runs_in_each_class(store: StoreUnderTest) -> None:
    load, extract = Requirements("load"), Requirements("extract")
    store.batch([lambda tx: tx.put_class("pc_b", extract), lambda tx: tx.put_class(LOAD, load)])
    (one, two, _) = insert_ready(store, plan("one"), plan("two"), plan("three"))
    attempt = store.write(lambda tx: grant(tx, one))
    later = two._replace(state=StepState.READY)
    store.write(lambda tx: move(tx, later, StepState.READY, StepState.READY))
    assert store.read(lambda tx: tx.backlog()) == sorted(
        [Backlog("pc_b", extract, 0, 0, None), Backlog(LOAD, load, 2, 1, NOW)]
    )
    store.write(lambda tx: leave(tx, attempt, one, StepState.SUCCEEDED))
    assert sum(each.running for each in store.read(lambda tx: tx.backlog())) == 0


def test_migrations_under_way_come_in_order_of_their_start(store: StoreUnderTest) -> None:
    (first,) = insert_ready(store, plan("a", target="t1"), name="one")
    (second,) = insert_ready(store, plan("b", target="t2"), name="two")
    for step in (second, first):
        store.write(lambda tx, step=step: grant(tx, step))  # type: ignore[misc]
    assert [row.name for row in store.read(lambda tx: tx.under_way())] == ["one", "two"]
