"""Attempts: found whole and by what they hold, renewed only while they run, adopted only by a later life."""

from controlplane.core.model import Failure, Use
from controlplane.core.states import AttemptState, StepState
from controlplane.store.verbs.attempts import Flush, Heard
from tests.contract.store.moves import end, grant, insert_ready, leave, plan
from tests.contract.store.under_test import StoreUnderTest
from tests.kit.builders import FENCE, NOW, a_plan, an_agent, class_for

LOAD = class_for(a_plan())


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


def test_a_failure_is_kept_as_it_was_told(store: StoreUnderTest) -> None:
    (step,) = insert_ready(store, plan("load"))
    attempt = store.write(lambda tx: grant(tx, step))
    failure = Failure("type_mismatch", 'no "type"\nhere', "mend it", retryable=False)
    store.write(lambda tx: end(tx, attempt, AttemptState.FAILED, failure=failure))
    (row,) = store.read(lambda tx: tx.attempt_reports(step.migration_id))
    assert row.failure == failure


def test_attempts_are_found_with_their_steps(store: StoreUnderTest) -> None:
    one, two = insert_ready(store, plan("one"), plan("two"))
    first = store.write(lambda tx: grant(tx, one))
    second = store.write(lambda tx: grant(tx, two))
    found = store.read(lambda tx: tx.attempts_with_steps([second.id, "att_none", first.id]))
    assert {key: each.attempt for key, each in found.items()} == {first.id: first, second.id: second}
    assert {key: each.step.id for key, each in found.items()} == {first.id: one.id, second.id: two.id}
    assert found[first.id].step == store.read(lambda tx: tx.steps([one.id]))[one.id]
    assert store.read(lambda tx: tx.attempts_with_steps([])) == {}


def test_what_an_attempt_used_and_who_ran_it_are_reported(store: StoreUnderTest) -> None:
    (step,) = insert_ready(store, plan("load"))
    attempt = store.write(lambda tx: grant(tx, step))
    (report,) = store.read(lambda tx: tx.attempt_reports(step.migration_id))
    assert (report.attempt, report.agent_name, report.failure, report.use) == (attempt, "", None, None)
    store.write(lambda tx: tx.put_agent(an_agent(), NOW))
    store.write(lambda tx: end(tx, attempt, use=Use(1.5, 2.5, 3, 4, 5)))
    (report,) = store.read(lambda tx: tx.attempt_reports(step.migration_id))
    assert (report.attempt.state, report.agent_name) == (AttemptState.SUCCEEDED, "host-1")
    assert report.use == Use(1.5, 2.5, 3, 4, 5)
    assert store.read(lambda tx: tx.attempt_reports("mig_none")) == []


def test_attempts_of_a_migration_come_by_step_then_by_number(store: StoreUnderTest) -> None:
    one, two = insert_ready(store, plan("one"), plan("two"))
    other = store.write(lambda tx: grant(tx, two))
    tried = []
    for number in range(3):
        step = store.read(lambda tx: tx.steps([one.id]))[one.id]
        attempt = store.write(lambda tx, step=step, n=number: grant(tx, step, fence=FENCE + n))  # type: ignore[misc]
        store.write(lambda tx, a=attempt, step=step: leave(tx, a, step, StepState.READY, AttemptState.LOST))  # type: ignore[misc]
        tried.append(attempt.id)
    expected = [*tried, other.id]
    assert [each.id for each in store.read(lambda tx: tx.attempts_of_migration(one.migration_id))] == expected
    reports = store.read(lambda tx: tx.attempt_reports(one.migration_id))
    assert [report.attempt.id for report in reports] == expected
