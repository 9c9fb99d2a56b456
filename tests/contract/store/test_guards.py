"""Guarded writes: each finds what its decision saw, or nothing of the call is written."""

from typing import Any

import pytest

from controlplane.core.changes import Changes, GrantLease, MoveStep
from controlplane.core.events import Event
from controlplane.core.model import Step
from controlplane.core.states import AttemptState, InvalidTransition, MigrationState, StepState, step_after
from controlplane.store.port import Conflict, Tx
from tests.contract.store.moves import attempt_at, end, grant, insert, leave, move, plan, turn
from tests.contract.store.under_test import StoreUnderTest
from tests.kit.builders import FENCE, NOW


def one_step(store: StoreUnderTest, **changes: Any) -> Step:
    return store.write(lambda tx: insert(tx, plan("load", **changes)))[1][0]


def now_is(store: StoreUnderTest, step: Step) -> Step:
    return store.read(lambda tx: tx.steps([step.id]))[step.id]


def test_a_grant_leases_the_step_and_raises_the_fence(store: StoreUnderTest) -> None:
    step = one_step(store)
    attempt = store.write(lambda tx: grant(tx, step))
    leased = now_is(store, step)
    assert (leased.state, leased.attempts, leased.touched, leased.queue_deadline_at) == (
        StepState.LEASED,
        1,
        True,
        None,
    )
    assert store.read(lambda tx: tx.fences()) == {step.target: FENCE}
    assert store.read(lambda tx: tx.attempts([attempt.id])) == {attempt.id: attempt}
    assert store.read(lambda tx: tx.live_on_target(step.target)) == attempt
    assert store.read(lambda tx: tx.live_of_migration(step.migration_id)) == {step.id: attempt}


def test_a_step_is_leased_once(store: StoreUnderTest) -> None:
    step = one_step(store)
    store.write(lambda tx: grant(tx, step))
    with pytest.raises(Conflict):
        store.write(lambda tx: grant(tx, step, id="att_x", fence=FENCE + 1))
    # Also where the decision has seen the lease: the schema itself refuses a second one (promise L2).
    leased = now_is(store, step)
    with pytest.raises(Conflict, match="a lease on this step or target is alive"):
        store.write(lambda tx: grant(tx, leased, fence=FENCE + 1))
    assert store.read(lambda tx: tx.live_count("ag_1")) == 1


def test_a_target_has_one_live_writer(store: StoreUnderTest) -> None:
    _, (one, other) = store.write(lambda tx: insert(tx, plan("one", target="t"), plan("other", target="t")))
    store.write(lambda tx: grant(tx, one))
    with pytest.raises(Conflict, match="a lease on this step or target is alive"):
        store.write(lambda tx: grant(tx, other, fence=FENCE + 1))
    assert now_is(store, other).state is StepState.READY


@pytest.mark.parametrize("fence", [FENCE, FENCE - 1])
def test_a_fence_only_rises(store: StoreUnderTest, fence: int) -> None:
    step = one_step(store)
    attempt = store.write(lambda tx: grant(tx, step))
    store.write(lambda tx: leave(tx, attempt, step, StepState.READY))
    again = now_is(store, step)
    with pytest.raises(Conflict):
        store.write(lambda tx: grant(tx, again, fence=fence))
    assert store.write(lambda tx: grant(tx, again, fence=FENCE + 1)).number == 2


def test_a_grant_on_an_older_try_is_refused(store: StoreUnderTest) -> None:
    step = one_step(store)
    attempt = store.write(lambda tx: grant(tx, step))
    store.write(lambda tx: leave(tx, attempt, step, StepState.READY))
    with pytest.raises(Conflict):
        store.write(lambda tx: grant(tx, step, id="att_x", fence=FENCE + 1))


def test_an_attempt_ends_once_and_under_its_own_fence(store: StoreUnderTest) -> None:
    step = one_step(store)
    attempt = store.write(lambda tx: grant(tx, step))
    with pytest.raises(Conflict):
        store.write(lambda tx: end(tx, attempt, fence=FENCE - 1))
    with pytest.raises(Conflict):
        store.write(lambda tx: end(tx, attempt_at(step, id="att_nobody")))
    store.write(lambda tx: end(tx, attempt, AttemptState.LOST))
    with pytest.raises(Conflict):
        store.write(lambda tx: end(tx, attempt))
    (ended,) = store.read(lambda tx: tx.attempts_of_migration(step.migration_id))
    assert (ended.state, ended.ended_at) == (AttemptState.LOST, NOW + 1.0)


def test_a_step_moves_from_where_the_decision_saw_it(store: StoreUnderTest) -> None:
    step = one_step(store)

    def from_state(state: StepState) -> None:
        store.write(lambda tx: move(tx, step, state, StepState.FAILED))

    for wrong in set(StepState) - {StepState.READY}:
        with pytest.raises(Conflict):
            from_state(wrong)
    from_state(StepState.READY)
    failed = now_is(store, step)
    assert (failed.state, failed.failures, failed.ready_at) == (StepState.FAILED, 1, NOW)
    assert (failed.reason_code, failed.reason, failed.hint) == ("code", "why", "how")


def test_a_step_remembers_its_outage_and_its_losses(store: StoreUnderTest) -> None:
    step = one_step(store)
    assert (step.unreachable_for_s, step.unreachable_since, step.losses) == (900.0, None, 0)
    changed = Changes()
    changed.step_moves.append(
        MoveStep(step.id, step.state, step.state, step.direction, failures=1, unreachable_since=NOW, losses=7)
    )
    store.write(lambda tx: tx.apply(changed))
    found = now_is(store, step)
    assert (found.unreachable_since, found.losses) == (NOW, 7)


def test_a_migration_moves_from_where_the_decision_saw_it(store: StoreUnderTest) -> None:
    migration, _ = store.write(lambda tx: insert(tx, plan("load")))
    with pytest.raises(Conflict):
        store.write(lambda tx: turn(tx, migration, MigrationState.FAILED, MigrationState.RUNNING))
    store.write(lambda tx: turn(tx, migration, MigrationState.RUNNING, MigrationState.FAILED))
    found = store.read(lambda tx: tx.migration(migration.id))
    assert found == migration._replace(state=MigrationState.FAILED, reason="why", ended_at=NOW + 5.0)


def test_nothing_of_a_refused_decision_is_written(store: StoreUnderTest) -> None:
    step = one_step(store)

    def half(tx: Tx) -> None:
        changes = Changes()
        changes.grants.append(GrantLease(attempt_at(step), StepState.READY))
        changes.events.append(Event(NOW, "LeaseGranted", step.id))
        tx.apply(changes)
        move(tx, step, StepState.READY, StepState.FAILED)

    before = store.read(lambda tx: tx.events_after(0, "", 100))
    with pytest.raises(Conflict):
        store.write(half)
    assert now_is(store, step) == step
    assert store.read(lambda tx: tx.fences()) == {}
    assert store.read(lambda tx: tx.events_after(0, "", 100)) == before


def test_one_wrong_row_among_many_refuses_them_all(store: StoreUnderTest) -> None:
    _, steps = store.write(lambda tx: insert(tx, plan("a"), plan("b"), plan("c")))
    changes = Changes()
    changes.grants += [GrantLease(attempt_at(step), StepState.READY) for step in steps]
    changes.grants[1] = GrantLease(attempt_at(steps[1], number=7), StepState.READY)
    with pytest.raises(Conflict, match="2 of 3 rows"):
        store.write(lambda tx: tx.apply(changes))
    assert [now_is(store, step).state for step in steps] == [StepState.READY] * 3


def test_a_call_that_fails_in_a_batch_fails_alone(store: StoreUnderTest) -> None:
    _, steps = store.write(lambda tx: insert(tx, plan("a"), plan("b"), plan("c")))

    def broken(tx: Tx) -> None:
        grant(tx, steps[1])
        raise KeyError("a bug")

    one, failed, conflict, other = store.batch(
        [
            lambda tx: grant(tx, steps[0]),
            broken,
            lambda tx: grant(tx, steps[0], id="att_x", fence=FENCE + 1),
            lambda tx: grant(tx, steps[2]),
        ]
    )
    assert one.step_id == steps[0].id and other.step_id == steps[2].id
    assert isinstance(failed, KeyError) and isinstance(conflict, Conflict)
    states = [now_is(store, step).state for step in steps]
    assert states == [StepState.LEASED, StepState.READY, StepState.LEASED]


def test_calls_of_a_batch_see_each_other_in_order(store: StoreUnderTest) -> None:
    answers = store.batch([lambda tx: tx.next_ids("mig_", 2), lambda tx: tx.next_ids("mig_", 1)])
    assert len({each for ids in answers for each in ids}) == 3


def test_what_was_answered_survives_and_what_was_not_committed_does_not(store: StoreUnderTest) -> None:
    _, (one, other) = store.write(lambda tx: insert(tx, plan("one"), plan("other")))
    store.write(lambda tx: grant(tx, one))
    store.power_loss([lambda tx: grant(tx, other), lambda tx: insert(tx, plan("lost"), name="lost")])
    store.reopen()
    assert now_is(store, one).state is StepState.LEASED
    assert now_is(store, other) == other
    assert store.read(lambda tx: tx.migration_by_name("lost")) is None
    assert store.write(lambda tx: grant(tx, other)).number == 1


def test_ids_never_repeat(store: StoreUnderTest) -> None:
    seen = store.write(lambda tx: tx.next_ids("step_", 5))
    seen += store.write(lambda tx: tx.next_ids("mig_", 1))
    store.reopen()
    seen += store.write(lambda tx: tx.next_ids("step_", 5))
    assert len({each.partition("_")[2] for each in seen}) == 11
    assert all(each.startswith(("step_", "mig_")) for each in seen)


def test_a_generation_only_rises_and_lifts_fences_and_ids_with_it(store: StoreUnderTest) -> None:
    before = store.write(lambda tx: tx.next_ids("step_", 1))[0]
    store.write(lambda tx: tx.begin_generation(1_800_000_000))
    store.write(lambda tx: tx.begin_generation(7))
    store.reopen()
    after = store.write(lambda tx: tx.next_ids("step_", 1))[0]
    assert store.read(lambda tx: tx.generation()) == 1_800_000_000
    assert int(after.removeprefix("step_"), 16) >> 32 == 1_800_000_000
    assert int(after.removeprefix("step_"), 16) > int(before.removeprefix("step_"), 16)


def test_a_parameter_is_set_for_a_step_that_exists(store: StoreUnderTest) -> None:
    step = one_step(store, params=None)
    store.write(lambda tx: tx.set_params(step.id, b"made"))
    body = store.read(lambda tx: tx.body(step.id))
    assert body is not None and (body.params, body.result) == (b"made", None)
    with pytest.raises(Conflict):
        store.write(lambda tx: tx.set_params("step_nobody", b"made"))


def test_an_impossible_transition_tells_the_story_of_whom_it_meets(store: StoreUnderTest) -> None:
    step = one_step(store)
    attempt = store.write(lambda tx: grant(tx, step))

    def ended_twice(tx: Tx) -> None:
        tx.record([Event(NOW, "Undone", step.id, detail="by the roll-back")])
        step_after(StepState.SUCCEEDED, "LeaseGranted", step.id)

    store.write(lambda tx: tx.record([Event(NOW, "LeaseGranted", step.id, step.migration_id, attempt.id)]))
    with pytest.raises(InvalidTransition, match=step.id) as caught:
        store.write(ended_twice)
    (story,) = caught.value.__notes__
    assert story.startswith(f"the story of {step.id}:\n")
    assert f"LeaseGranted {attempt.id}" in story
    assert "roll-back" not in story, "what was rolled back did not happen"
    with pytest.raises(InvalidTransition) as nobody:
        store.write(lambda tx: step_after(None, "LeaseGranted"))
    assert nobody.value.__notes__ == ["nothing is recorded of it"]
