"""Renewing a lease, and what the end of an attempt means."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.changes import Changes, MoveStep
from controlplane.core.model import Failure, Step, Use
from controlplane.core.states import (
    ATTEMPT_TRANSITIONS,
    AttemptState,
    Direction,
    StepState,
    step_after,
)
from controlplane.core.steps.leasing import LiveLease, Refused, Renewed, expire, overrun, renew, settle
from controlplane.core.steps.retrying import LOSSES_MAX
from tests.kit.builders import FENCE, NOW, a_leased_step, an_attempt, an_attempt_at, an_outcome

TTL_S = 60.0
REPORTED = [AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.CANCELLED, AttemptState.FENCED]
BROKEN = Failure("unreachable_datastore", "no route to warehouse", "check its address")
FINAL = replace(BROKEN, retryable=False)


def a_lease(**changes: object) -> LiveLease:
    lease = LiveLease("att_1_1", "step_1", "ag_1", 3, FENCE, NOW, NOW + TTL_S, NOW, 0.0, 0.0)
    return replace(lease, **changes)  # type: ignore[arg-type]


def renewed(lease: LiveLease, *, fence: int = FENCE, incarnation: int = 3, now: float = NOW) -> Renewed | Refused:
    return renew(lease, fence=fence, incarnation=incarnation, now=now, ttl_s=TTL_S)


def test_a_renewal_counts_from_now() -> None:
    assert renewed(a_lease(), now=NOW + 20.0) == Renewed(NOW + 20.0 + TTL_S)
    assert renewed(a_lease(), incarnation=4) == Renewed(NOW + TTL_S)


@pytest.mark.parametrize("fence", [FENCE - 1, FENCE + 1, 0])
def test_another_fence_renews_nothing(fence: int) -> None:
    assert renewed(a_lease(), fence=fence) == Refused(f"fence {fence} does not hold this step, {FENCE} does")


def test_an_older_life_of_the_agent_renews_nothing() -> None:
    assert renewed(a_lease(), incarnation=2) == Refused("incarnation 2 of the agent was followed by 3")


def test_a_lease_that_is_over_is_not_revived() -> None:
    assert isinstance(renewed(a_lease(), now=NOW + TTL_S - 0.001), Renewed)
    assert renewed(a_lease(), now=NOW + TTL_S) == Refused("lease expired")
    assert renewed(a_lease(), now=NOW + TTL_S + 1e6) == Refused("lease expired")


def test_a_run_that_is_too_long_is_not_renewed() -> None:
    lease = a_lease(start_to_finish_s=30.0)
    assert isinstance(renewed(lease, now=NOW + 30.0), Renewed)
    assert renewed(lease, now=NOW + 30.5) == Refused("the attempt ran longer than its limit of 30 s")


def test_a_run_without_progress_is_not_renewed() -> None:
    lease = a_lease(progress_s=10.0, watermark=7, moved_at=NOW + 5.0)
    assert isinstance(renewed(lease, now=NOW + 15.0), Renewed)
    assert renewed(lease, now=NOW + 15.5) == Refused("the attempt made no progress for 10 s (watermark 7)")


def test_limits_that_are_not_set_never_pass() -> None:
    assert overrun(a_lease(), NOW + 1e9) is None


def test_a_timeout_has_a_code_that_counts_as_a_failure() -> None:
    for lease in (a_lease(start_to_finish_s=1.0), a_lease(progress_s=1.0)):
        failure = overrun(lease, NOW + 2.0)
        assert failure is not None and failure.code.endswith("_timeout") and failure.hint and failure.retryable


@given(st.integers(0, 2**62), st.integers(0, 9), st.floats(-100.0, 200.0))
def test_only_the_holder_in_time_is_renewed(fence: int, incarnation: int, after_s: float) -> None:
    answer = renewed(a_lease(), fence=fence, incarnation=incarnation, now=NOW + after_s)
    assert isinstance(answer, Renewed) == (fence == FENCE and incarnation >= 3 and NOW + after_s < NOW + TTL_S)


def test_success_ends_the_attempt_completes_the_step_and_keeps_the_result() -> None:
    use = Use(1.5, 1.0, 10, 20, 30)
    changes = settle(a_leased_step(failures=2), an_attempt(), an_outcome(use=use), NOW + 9.0)
    assert isinstance(changes, Changes)
    (end,), (move,), (result,), (event,) = changes.ends, changes.step_moves, changes.results, changes.events
    assert (end.attempt_id, end.fence, end.state, end.ended_at) == ("att_1_1", FENCE, AttemptState.SUCCEEDED, NOW + 9.0)
    assert (end.failure, end.use) == (None, use)
    assert (move.from_state, move.to_state, move.failures) == (StepState.LEASED, StepState.SUCCEEDED, 0)
    assert (move.queue_deadline_at, move.reason) == (None, "")
    assert result.result == b"result"
    assert (event.type, event.subject, event.attempt_id, event.fence) == ("StepSucceeded", "step_1", "att_1_1", FENCE)


def test_a_successful_undo_keeps_the_forward_result() -> None:
    step = a_leased_step(direction=Direction.UNDO)
    changes = settle(step, an_attempt_at(step), an_outcome(), NOW)
    assert isinstance(changes, Changes)
    assert [move.to_state for move in changes.step_moves] == [StepState.UNDONE]
    assert [event.type for event in changes.events] == ["StepUndone"]
    assert changes.results == []


def test_a_success_without_a_result_writes_none() -> None:
    changes = settle(a_leased_step(), an_attempt(), an_outcome(result=b""), NOW)
    assert isinstance(changes, Changes) and changes.results == []


@pytest.mark.parametrize("fence", [FENCE - 1, FENCE + 1])
@pytest.mark.parametrize("state", REPORTED)
def test_a_report_under_another_fence_is_refused(fence: int, state: AttemptState) -> None:
    refused = settle(a_leased_step(), an_attempt(), an_outcome(fence=fence, state=state), NOW)
    assert refused == Refused(f"fence {fence} does not hold this step, {FENCE} does")


@pytest.mark.parametrize(
    ("ended", "reported"), [(e, r) for e in AttemptState if e is not AttemptState.RUNNING for r in REPORTED]
)
def test_a_report_on_an_ended_attempt_is_refused(ended: AttemptState, reported: AttemptState) -> None:
    refused = settle(a_leased_step(), an_attempt(state=ended), an_outcome(state=reported), NOW)
    assert refused == Refused(f"the attempt has ended as {ended}")


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("state", REPORTED)
@pytest.mark.parametrize("failure", [None, BROKEN, FINAL])
def test_every_reported_end_is_a_listed_transition_with_a_fact_for_each_change(
    direction: Direction, state: AttemptState, failure: Failure | None
) -> None:
    step = a_leased_step(direction=direction)
    changes = settle(step, an_attempt_at(step), an_outcome(state=state, failure=failure), NOW)
    assert isinstance(changes, Changes)
    types = [event.type for event in changes.events]
    attempt, moved = AttemptState.RUNNING, StepState.LEASED
    for kind in types:
        attempt = ATTEMPT_TRANSITIONS.get((attempt, kind), attempt)
        moved = step_after(moved, kind) if kind.startswith("Step") else moved
    assert attempt is changes.ends[0].state is state
    assert moved is changes.step_moves[0].to_state
    assert changes.step_moves[0].direction is direction


def test_a_failure_counts_waits_and_keeps_its_reason() -> None:
    outcome = an_outcome(state=AttemptState.FAILED, failure=BROKEN, result=b"proof of the difference")
    changes = settle(a_leased_step(failures=1, attempts=2), an_attempt(), outcome, NOW)
    assert isinstance(changes, Changes)
    (move,) = changes.step_moves
    assert (move.to_state, move.failures, move.ready_at) == (StepState.READY, 2, NOW + 4.0)
    assert move.queue_deadline_at == NOW + 4.0 + 3600.0
    assert (move.reason_code, move.reason, move.hint) == (BROKEN.code, BROKEN.message, BROKEN.hint)
    assert [event.type for event in changes.events] == ["AttemptFailed", "StepReadied"]
    assert changes.events[0].detail == "unreachable_datastore: no route to warehouse"
    assert changes.results[0].result == b"proof of the difference"


@pytest.mark.parametrize(
    ("direction", "to_state", "event"),
    [(Direction.FORWARD, StepState.FAILED, "StepFailed"), (Direction.UNDO, StepState.STUCK, "StepStuck")],
)
@pytest.mark.parametrize("last", ["not retryable", "last try"])
def test_the_last_failure_ends_the_step(direction: Direction, to_state: StepState, event: str, last: str) -> None:
    step = a_leased_step(direction=direction, failures=2 if last == "last try" else 0)
    failure = BROKEN if last == "last try" else FINAL
    outcome = an_outcome(state=AttemptState.FAILED, failure=failure)
    changes = settle(step, an_attempt_at(step), outcome, NOW)
    assert isinstance(changes, Changes)
    (move,) = changes.step_moves
    assert (move.to_state, move.ready_at, move.queue_deadline_at) == (to_state, 0.0, None)
    assert changes.events[-1].type == event
    assert changes.results == ([] if direction is Direction.UNDO else changes.results)


def test_a_stop_the_agent_made_by_itself_does_not_count_and_is_tried_again_at_once() -> None:
    outcome = an_outcome(state=AttemptState.CANCELLED, failure=Failure("deadline", "its lease ran out"))
    changes = settle(a_leased_step(failures=2), an_attempt(), outcome, NOW)
    assert isinstance(changes, Changes)
    assert (changes.step_moves[0].to_state, changes.step_moves[0].failures) == (StepState.READY, 2)
    assert changes.step_moves[0].ready_at == NOW


@pytest.mark.parametrize("code", ["child_lost", "agent_starting", "agent_stopping", "no_free_slot"])
def test_what_befell_the_agent_is_no_failure_of_the_step(code: str) -> None:
    outcome = an_outcome(state=AttemptState.FAILED, failure=Failure(code, "not the step's fault"))
    changes = settle(a_leased_step(failures=2), an_attempt(), outcome, NOW)
    assert isinstance(changes, Changes)
    assert (changes.step_moves[0].to_state, changes.step_moves[0].failures) == (StepState.READY, 2)
    assert changes.step_moves[0].ready_at == NOW + (2.0 if code == "no_free_slot" else 0.0)


def test_a_reason_is_made_up_where_the_agent_gave_none() -> None:
    changes = settle(a_leased_step(), an_attempt(), an_outcome(state=AttemptState.FAILED, failure=None), NOW)
    assert isinstance(changes, Changes)
    assert (changes.step_moves[0].reason_code, changes.step_moves[0].reason) == ("unknown", "the agent gave no reason")


def test_a_lost_lease_does_not_count_but_a_timeout_does() -> None:
    silent = Failure("lease_expired", "no renewal came")
    slow = Failure("progress_timeout", "no progress")
    lost = expire(a_leased_step(), an_attempt(), silent, NOW, lock_delay_s=60.0)
    late = expire(a_leased_step(), an_attempt(), slow, NOW, lock_delay_s=60.0)
    assert (lost.step_moves[0].failures, lost.step_moves[0].ready_at) == (0, NOW)
    assert (late.step_moves[0].failures, late.step_moves[0].ready_at) == (1, NOW + 2.0)
    assert [event.type for event in lost.events] == ["LeaseExpired", "StepReadied"]
    assert (lost.ends[0].state, lost.ends[0].use) == (AttemptState.LOST, None)


def test_where_the_destination_cannot_fence_a_delay_passes_first() -> None:
    failure = Failure("lease_expired", "no renewal came")
    unfenced = expire(a_leased_step(fenced=False), an_attempt(), failure, NOW, lock_delay_s=60.0)
    assert unfenced.step_moves[0].ready_at == NOW + 60.0
    assert unfenced.step_moves[0].queue_deadline_at == NOW + 60.0 + 3600.0
    slow = Failure("progress_timeout", "no progress")
    patient = a_leased_step(fenced=False, backoff_initial_s=300.0, backoff_max_s=300.0)
    assert expire(patient, an_attempt(), slow, NOW, lock_delay_s=60.0).step_moves[0].ready_at == NOW + 300.0


AWAY = Failure("unreachable", "no connection", "start it", unreachable=True)


def an_outage(step: Step, failure: Failure = AWAY, **changes: Any) -> MoveStep:
    """What the report of an unreachable datastore, now, does with the step."""
    outcome = an_outcome(state=AttemptState.FAILED, result=b"", failure=failure)
    decided = settle(step, an_attempt_at(step, granted_at=NOW - 50.0), outcome, NOW, **changes)
    assert isinstance(decided, Changes)
    return decided.step_moves[0]


def test_an_outage_uses_up_no_try_until_it_lasts_too_long() -> None:
    first = an_outage(a_leased_step(failures=2, losses=4))
    assert (first.to_state, first.failures, first.losses) == (StepState.READY, 2, 4)
    assert (first.unreachable_since, first.ready_at) == (NOW, NOW + 2.0)
    later = an_outage(a_leased_step(attempts=40, failures=2, unreachable_since=NOW - 899.0))
    assert (later.to_state, later.failures, later.unreachable_since) == (StepState.READY, 2, NOW - 899.0)
    assert (later.ready_at, later.hint) == (NOW + 60.0, "start it")
    counted = an_outage(a_leased_step(failures=1, unreachable_since=NOW - 900.0))
    assert (counted.to_state, counted.failures, counted.unreachable_since) == (StepState.READY, 2, NOW - 900.0)
    last = an_outage(a_leased_step(failures=2, unreachable_since=NOW - 900.0))
    assert (last.to_state, last.failures, last.unreachable_since) == (StepState.FAILED, 3, None)
    assert last.hint == (
        "start it. It was away longer than the step waits (retry.unreachableFor, 900 s), and is no longer asked by "
        "itself: `haulier migration retry NAME` once it is back"
    )


def test_work_is_no_part_of_an_outage() -> None:
    step = a_leased_step(unreachable_since=NOW - 900.0)
    assert an_outage(step, moved=True).failures == 0
    assert an_outage(step, moved=True).unreachable_since == NOW - 850.0


def test_an_outage_in_undo_is_borne_alike() -> None:
    step = a_leased_step(direction=Direction.UNDO, attempts_max=1)
    assert an_outage(step).to_state is StepState.READY
    assert an_outage(step._replace(unreachable_since=NOW - 900.0)).to_state is StepState.STUCK


def test_an_outage_is_over_once_a_try_gets_to_its_work() -> None:
    away = a_leased_step(unreachable_since=NOW - 10.0)
    assert an_outage(away, Failure("busy", "locked")).unreachable_since is None
    lost = expire(away, an_attempt(), Failure("lease_expired", "silent"), NOW, lock_delay_s=0.0).step_moves[0]
    assert (lost.unreachable_since, lost.losses) == (NOW - 10.0, 1)
    fenced = an_outcome(state=AttemptState.FENCED, failure=Failure("fenced", "overtaken", unreachable=True))
    decided = settle(away, an_attempt(), fenced, NOW)
    assert isinstance(decided, Changes)
    assert (decided.step_moves[0].unreachable_since, decided.step_moves[0].failures) == (None, 1)


def test_a_step_that_loses_every_agent_it_meets_ends() -> None:
    step = a_leased_step(attempts=LOSSES_MAX, losses=LOSSES_MAX - 1)
    changes = expire(step, an_attempt_at(step), Failure("lease_expired", "silent"), NOW, lock_delay_s=0.0)
    assert changes.step_moves[0].to_state is StepState.FAILED
