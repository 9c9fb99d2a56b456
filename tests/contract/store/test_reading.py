"""What a store finds: candidates, live leases, what is late, what is shown."""

from typing import Any

import pytest

from controlplane.core.changes import Changes, KeepResult
from controlplane.core.events import Event
from controlplane.core.model import Candidate, Failure, Requirements, Step, Use
from controlplane.core.states import AttemptState, Direction, MigrationState, StepState
from controlplane.core.steps.admission import Full
from controlplane.store.port import Conflict, Tx
from controlplane.store.verbs.attempts import Flush, Heard
from controlplane.store.verbs.steps import Body
from tests.contract.store.conftest import StoreUnderTest
from tests.contract.store.moves import end, grant, insert, leave, move, names_of, plan, turn
from tests.kit.builders import FENCE, NOW, a_plan, an_agent, class_for

LOAD = class_for(a_plan())
NEVER = 0.0


def insert_ready(store: StoreUnderTest, *plans: Any, **changes: Any) -> list[Step]:
    return store.write(lambda tx: insert(tx, *plans, **changes))[1]


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
    def within(full: Full) -> list[str]:
        candidates = store.read(lambda tx: tx.candidates_within(LOAD, NOW, NEVER, full, 9))
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


def test_live_leases_are_counted_by_agent_and_class(store: StoreUnderTest) -> None:
    one, two, three = insert_ready(store, plan("one"), plan("two"), plan("three"))
    first = store.write(lambda tx: grant(tx, one, granted_at=NOW + 1.0))
    second = store.write(lambda tx: grant(tx, two))
    store.write(lambda tx: grant(tx, three, agent_id="ag_2"))
    assert store.read(lambda tx: tx.live_count("ag_1")) == 2
    assert store.read(lambda tx: tx.live_counts()) == {"ag_1": 2, "ag_2": 1}
    assert store.read(lambda tx: tx.live_classes()) == [LOAD] * 3
    assert store.read(lambda tx: tx.live_of_agent("ag_1")) == [second, first]
    store.write(lambda tx: end(tx, first))
    assert store.read(lambda tx: tx.live_counts()) == {"ag_1": 1, "ag_2": 1}
    assert store.read(lambda tx: tx.live_on_target(one.target)) is None


def test_heartbeats_are_flushed_to_live_leases_under_their_fence(store: StoreUnderTest) -> None:
    one, two = insert_ready(store, plan("one", progress_s=5.0, start_to_finish_s=6.0), plan("two"))
    live = store.write(lambda tx: grant(tx, one))
    over = store.write(lambda tx: grant(tx, two))
    store.write(lambda tx: end(tx, over))
    store.write(lambda tx: tx.put_agent(an_agent(), NOW))

    def flush(at: float, fence: int = FENCE, started_at: float | None = None, sample: str = "") -> None:
        rows = [Flush(each.id, fence, at + 60.0, at, 7, 9, 11, "reading", started_at) for each in (live, over)]
        store.write(lambda tx: tx.flush(rows, {"ag_1": Heard(at, sample)}))

    flush(NOW + 5.0, fence=FENCE + 1)
    (row,) = store.read(lambda tx: tx.live_rows())
    assert (row.attempt, row.moved_at, row.watermark) == (live, NOW, 0)
    flush(NOW + 10.0, started_at=NOW + 1.0, sample='{"cpu_fraction":0.5}')
    flush(NOW + 20.0, started_at=NOW + 2.0)
    (row,) = store.read(lambda tx: tx.live_rows())
    assert (row.attempt.expires_at, row.moved_at, row.watermark) == (NOW + 80.0, NOW + 20.0, 7)
    assert (row.start_to_finish_s, row.progress_s) == (6.0, 5.0)
    shown, ended = store.read(lambda tx: tx.attempt_reports(one.migration_id))
    assert (shown.stage, shown.total, shown.done_bytes, shown.started_at) == ("reading", 9, 11, NOW + 1.0)
    assert (ended.watermark, ended.attempt.expires_at) == (0, NOW + 60.0)
    ((agent, sample),) = store.read(lambda tx: tx.agents())
    assert (agent.heard_at, sample) == (NOW + 20.0, '{"cpu_fraction":0.5}')


def test_a_newer_life_adopts_and_an_older_one_does_not(store: StoreUnderTest) -> None:
    (step,) = insert_ready(store, plan("load"))
    attempt = store.write(lambda tx: grant(tx, step, incarnation=3))

    def adopted(incarnation: int) -> int:
        store.write(lambda tx: tx.adopt(attempt.id, incarnation))
        return store.read(lambda tx: tx.attempts([attempt.id]))[attempt.id].incarnation

    assert [adopted(incarnation) for incarnation in (2, 5, 4)] == [3, 5, 5]


def test_after_a_start_no_live_lease_ends_before_an_instant(store: StoreUnderTest) -> None:
    one, two, three = insert_ready(store, plan("one"), plan("two"), plan("three"))
    short = store.write(lambda tx: grant(tx, one, expires_at=NOW + 1.0))
    long = store.write(lambda tx: grant(tx, two, expires_at=NOW + 100.0))
    over = store.write(lambda tx: grant(tx, three, expires_at=NOW + 1.0))
    store.write(lambda tx: end(tx, over))
    store.write(lambda tx: tx.extend_all(NOW + 60.0))
    attempts = store.read(lambda tx: tx.attempts([short.id, long.id, over.id]))
    assert [attempts[each.id].expires_at for each in (short, long, over)] == [NOW + 60.0, NOW + 100.0, NOW + 1.0]


def test_unconfirmed_attempts_come_newest_first(store: StoreUnderTest) -> None:
    (first,) = insert_ready(store, plan("load", target="t"))
    migration_id = first.migration_id

    def tried(number: int, state: AttemptState) -> str:
        (step,) = store.read(lambda tx: tx.steps_of(migration_id))
        attempt = store.write(lambda tx: grant(tx, step, fence=FENCE + number, granted_at=NOW + number))
        store.write(lambda tx: leave(tx, attempt, step, StepState.READY, state))
        return attempt.id

    states = (AttemptState.LOST, AttemptState.FAILED, AttemptState.CANCELLED)
    attempts = [tried(number, state) for number, state in enumerate(states)]
    assert store.read(lambda tx: tx.unconfirmed("t", 9)) == [attempts[2], attempts[0]]
    assert store.read(lambda tx: tx.unconfirmed("t", 1)) == [attempts[2]]
    assert [each.id for each in store.read(lambda tx: list(tx.all_attempts()))] == attempts


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


def test_a_failure_is_kept_as_it_was_told(store: StoreUnderTest) -> None:
    (step,) = insert_ready(store, plan("load"))
    attempt = store.write(lambda tx: grant(tx, step))
    failure = Failure("type_mismatch", 'no "type"\nhere', "mend it", retryable=False)
    store.write(lambda tx: end(tx, attempt, AttemptState.FAILED, failure=failure))
    (row,) = store.read(lambda tx: tx.attempt_reports(step.migration_id))
    assert row.failure == failure


def test_events_are_found_by_whom_they_are_about(store: StoreUnderTest) -> None:
    migration, (step,) = store.write(lambda tx: insert(tx, plan("load")))
    store.write(lambda tx: grant(tx, step))
    store.write(lambda tx: tx.record([Event(NOW, "AgentJoined", "ag_1", agent_id="ag_1", detail="host-1")]))
    store.write(lambda tx: tx.record([Event(NOW, "ManifestApplied", "Dataset/x")]))
    store.write(lambda tx: tx.record([]))
    everything = store.read(lambda tx: tx.events_after(0, "", 100))
    assert names_of(everything) == ["MigrationStarted", "LeaseGranted", "AgentJoined", "ManifestApplied"]
    assert [position for position, _ in everything] == sorted({position for position, _ in everything})

    def of(subject: str) -> list[str]:
        return names_of(store.read(lambda tx: tx.events_after(0, subject, 100)))

    assert of(migration.id) == ["MigrationStarted", "LeaseGranted"]
    assert of(step.id) == ["LeaseGranted"]
    assert of("ag_1") == ["AgentJoined"]
    assert of("Dataset/x") == ["ManifestApplied"]
    assert of("mig_none") == of("step_none") == of("nobody") == []
    second = everything[1][0]
    assert names_of(store.read(lambda tx: tx.events_after(second, "", 1))) == ["AgentJoined"]
    assert everything[1][1].fence == FENCE
