"""What is ready, how a migration ends, and the way back."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.changes import Changes
from controlplane.core.migrations.resuming import ready, retry
from controlplane.core.migrations.workflow_planning import advance, fail_waiting, undo
from controlplane.core.model import Failure
from controlplane.core.states import (
    MIGRATION_ASKS_A_PERSON,
    MIGRATION_ENDED,
    MIGRATION_TRANSITIONS,
    AttemptState,
    Direction,
    MigrationState,
    StepState,
)
from controlplane.core.steps.leasing import Refused, expire, settle
from tests.kit.builders import NOW, a_migration, a_ready_step, a_step, an_attempt_at
from tests.unit.controlplane.core.ledger import Ledger, outcome_of, started

CHAIN = {"extract": [], "load": ["extract"], "validate": ["load"]}
CANCEL, ROLLBACK = "MigrationCancelAsked", "MigrationRollbackAsked"
FINAL = Failure("type_mismatch", "no such type", retryable=False)


def finish(ledger: Ledger, state: AttemptState = AttemptState.SUCCEEDED, failure: Failure | None = None) -> None:
    """Grant whatever is ready and let each end in ``state``."""
    for attempt in ledger.grant():
        report(ledger, attempt.step_id, state, failure)


def report(ledger: Ledger, step_id: str, state: AttemptState, failure: Failure | None = None) -> None:
    attempt = ledger.live()[step_id]
    ledger.apply(settle(ledger.steps[step_id], attempt, outcome_of(attempt, state, failure), ledger.now))
    ledger.advance()


def state_of(ledger: Ledger) -> MigrationState:
    return ledger.migration.state


def ask(ledger: Ledger, what: str, reason: str = "wrong table", by: str = "") -> Changes | Refused:
    steps = list(ledger.steps.values())
    return undo(ledger.migration, steps, ledger.live(), ask=what, reason=reason, now=ledger.now, by=by)


def test_a_chain_runs_one_after_another_and_the_migration_succeeds() -> None:
    ledger = started(CHAIN)
    assert ledger.states() == {"extract": "ready", "load": "blocked", "validate": "blocked"}
    finish(ledger)
    assert ledger.states() == {"extract": "succeeded", "load": "ready", "validate": "blocked"}
    finish(ledger)
    finish(ledger)
    assert state_of(ledger) == MigrationState.SUCCEEDED
    assert ledger.migration.ended_at is not None and ledger.migration.reason == ""
    assert ledger.findings() == []


def test_a_ready_step_has_a_deadline_and_no_old_reason() -> None:
    move = ready(a_step(reason_code="x", reason="y", hint="z", failures=2, queue_s=30.0), NOW)
    assert (move.ready_at, move.queue_deadline_at) == (NOW, NOW + 30.0)
    assert (move.reason_code, move.reason, move.hint, move.failures) == ("", "", "", 2)


@pytest.mark.parametrize("state", sorted(MIGRATION_ENDED | MIGRATION_ASKS_A_PERSON))
def test_nothing_moves_in_a_migration_that_has_ended_or_asks_a_person(state: MigrationState) -> None:
    assert advance(a_migration(state=state), [a_step()], {}, NOW) == Changes()


@pytest.mark.parametrize("state", [MigrationState.RUNNING, MigrationState.CANCELLING, MigrationState.ROLLING_BACK])
def test_steps_that_wait_for_each_other_are_no_end(state: MigrationState) -> None:
    steps = [a_step(id="step_1"), a_step(id="step_2")]
    assert advance(a_migration(state=state), steps, {"step_1": ["step_2"], "step_2": ["step_1"]}, NOW) == Changes()


def test_what_is_independent_of_a_failure_runs_to_its_end_first() -> None:
    ledger = started({"extract": [], "load": ["extract"], "other": []})
    extract, other = ledger.grant()
    report(ledger, extract.step_id, AttemptState.FAILED, FINAL)
    assert state_of(ledger) == MigrationState.RUNNING
    report(ledger, other.step_id, AttemptState.SUCCEEDED)
    assert state_of(ledger) == MigrationState.FAILED
    assert ledger.migration.reason == "step extract: no such type"
    assert ledger.migration.ended_at is not None
    assert ledger.findings() == []


def test_a_retry_gives_failed_steps_fresh_tries_and_says_who_asked() -> None:
    ledger = started(CHAIN, extract={"attempts_max": 1})
    finish(ledger, AttemptState.FAILED)
    assert state_of(ledger) == MigrationState.FAILED
    ledger.apply(retry(ledger.migration, list(ledger.steps.values()), ledger.now, by="ada"))
    assert (ledger.named("extract").state, ledger.named("extract").failures) == (StepState.READY, 0)
    assert [e.detail for e in ledger.events if e.type == "MigrationRetried"] == ["by ada"]
    for _ in range(3):
        finish(ledger)
    assert state_of(ledger) == MigrationState.SUCCEEDED
    assert ledger.findings() == []


@pytest.mark.parametrize("state", set(MigrationState) - {MigrationState.FAILED, MigrationState.STUCK})
def test_only_what_waits_for_a_person_is_retried(state: MigrationState) -> None:
    refused = retry(a_migration(state=state), [], NOW)
    assert refused == Refused(f"the migration is {state}: only a failed or stuck one can be retried")


def test_cancelling_before_anything_was_granted_ends_at_once() -> None:
    ledger = started(CHAIN)
    ledger.apply(ask(ledger, CANCEL))
    assert set(ledger.states().values()) == {"cancelled"}
    ledger.advance()
    assert (ledger.migration.state, ledger.migration.reason) == (MigrationState.CANCELLED, "wrong table")
    assert ledger.findings() == []


def test_cancelling_stops_what_runs_and_undoes_in_reverse_order() -> None:
    ledger = started(CHAIN, validate={"compensatable": False})
    finish(ledger)
    finish(ledger)
    (validate,) = ledger.grant()
    ledger.apply(ask(ledger, CANCEL, by="ada"))
    ledger.advance()
    assert ledger.attempts[validate.id].state is AttemptState.CANCELLED
    assert ledger.states() == {"extract": "blocked", "load": "ready", "validate": "cancelled"}
    assert ledger.named("load").direction is Direction.UNDO
    assert [e.detail for e in ledger.events if e.type == CANCEL] == ["wrong table (by ada)"]
    finish(ledger)
    assert ledger.states() == {"extract": "ready", "load": "undone", "validate": "cancelled"}
    finish(ledger)
    assert state_of(ledger) == MigrationState.CANCELLED
    assert ledger.findings() == []


def test_a_step_whose_tries_all_failed_is_undone_too() -> None:
    ledger = started(CHAIN, extract={"attempts_max": 1})
    finish(ledger, AttemptState.FAILED)
    ledger.apply(ask(ledger, ROLLBACK))
    ledger.advance()
    assert ledger.states() == {"extract": "ready", "load": "cancelled", "validate": "cancelled"}
    finish(ledger)
    assert state_of(ledger) == MigrationState.ROLLED_BACK
    assert ledger.findings() == []


def test_the_higher_fence_of_an_undo_keeps_the_cancelled_attempt_out() -> None:
    ledger = started({"load": []})
    (forward,) = ledger.grant()
    ledger.apply(ask(ledger, CANCEL))
    ledger.advance()
    (back,) = ledger.grant()
    assert back.fence > forward.fence and back.direction is Direction.UNDO
    refused = settle(
        ledger.steps["step_1"], ledger.attempts[forward.id], outcome_of(forward, AttemptState.SUCCEEDED), NOW
    )
    assert refused == Refused("the attempt has ended as cancelled")


def test_an_undo_that_fails_is_stuck_and_can_be_tried_again() -> None:
    ledger = started({"extract": [], "load": ["extract"]})
    finish(ledger)
    finish(ledger)
    assert state_of(ledger) == MigrationState.SUCCEEDED
    ledger.apply(ask(ledger, ROLLBACK))
    ledger.advance()
    finish(ledger, AttemptState.FAILED, FINAL)
    assert state_of(ledger) == MigrationState.STUCK
    assert ledger.migration.reason == "step load: no such type"
    assert ledger.states() == {"extract": "blocked", "load": "stuck"}
    assert ledger.findings() == []
    ledger.apply(retry(ledger.migration, list(ledger.steps.values()), ledger.now))
    finish(ledger)
    finish(ledger)
    assert state_of(ledger) == MigrationState.ROLLED_BACK
    assert ledger.findings() == []


def test_a_stuck_undo_waits_until_the_others_have_ended() -> None:
    ledger = started({"one": [], "two": []})
    finish(ledger)
    ledger.apply(ask(ledger, ROLLBACK))
    ledger.advance()
    one, two = ledger.grant()
    report(ledger, one.step_id, AttemptState.FAILED, FINAL)
    assert state_of(ledger) == MigrationState.ROLLING_BACK
    report(ledger, two.step_id, AttemptState.SUCCEEDED)
    assert state_of(ledger) == MigrationState.STUCK


@pytest.mark.parametrize(
    ("state", "because"),
    [
        (StepState.SUCCEEDED, "step load is the pivot and has succeeded: from here there is only forward"),
        (StepState.LEASED, "step load is the pivot and is running: ask again once it has ended"),
    ],
)
@pytest.mark.parametrize("what", [CANCEL, ROLLBACK])
def test_from_the_pivot_on_there_is_only_forward(what: str, state: StepState, because: str) -> None:
    pivot = a_step(state=state, pivot=True, touched=True, attempts=1)
    live = {pivot.id: an_attempt_at(pivot)} if state is StepState.LEASED else {}
    assert undo(a_migration(), [pivot], live, ask=what, reason="", now=NOW) == Refused(because)


def test_a_pivot_that_was_tried_and_has_not_succeeded_is_undone_whatever_it_declares() -> None:
    pivot = a_step(state=StepState.FAILED, pivot=True, compensatable=False, touched=True, attempts=2)
    changes = undo(a_migration(state=MigrationState.FAILED), [pivot], {}, ask=ROLLBACK, reason="", now=NOW)
    assert isinstance(changes, Changes)
    assert [(move.to_state, move.direction) for move in changes.step_moves] == [(StepState.BLOCKED, Direction.UNDO)]


def test_a_pivot_that_has_not_begun_is_cancelled() -> None:
    changes = undo(a_migration(), [a_ready_step(pivot=True)], {}, ask=CANCEL, reason="", now=NOW)
    assert isinstance(changes, Changes)
    assert [move.to_state for move in changes.step_moves] == [StepState.CANCELLED]


@pytest.mark.parametrize("what", [CANCEL, ROLLBACK])
@pytest.mark.parametrize("state", MigrationState)
def test_every_state_meets_a_request_to_go_back(state: MigrationState, what: str) -> None:
    answer = undo(a_migration(state=state), [], {}, ask=what, reason="", now=NOW)
    if (state, what) in MIGRATION_TRANSITIONS:
        assert isinstance(answer, Changes)
        assert answer.migration_moves[0].to_state is MIGRATION_TRANSITIONS[state, what]
    else:
        assert isinstance(answer, Refused) and answer.because


@pytest.mark.parametrize("state", [StepState.READY, StepState.BLOCKED])
@pytest.mark.parametrize(
    ("direction", "to_state", "event"),
    [(Direction.FORWARD, StepState.FAILED, "StepFailed"), (Direction.UNDO, StepState.STUCK, "StepStuck")],
)
def test_a_step_that_waited_too_long_ends_the_way_it_went(
    state: StepState, direction: Direction, to_state: StepState, event: str
) -> None:
    failure = Failure("queue_timeout", "nobody came", "ask why")
    changes = fail_waiting(a_step(state=state, direction=direction, failures=1), failure, NOW)
    (move,) = changes.step_moves
    assert (move.from_state, move.to_state, move.queue_deadline_at) == (state, to_state, None)
    assert (move.reason_code, move.reason, move.hint) == ("queue_timeout", "nobody came", "ask why")
    assert (changes.events[0].type, changes.events[0].detail) == (event, "nobody came")


@st.composite
def graphs(draw: st.DrawFn) -> Mapping[str, Sequence[str]]:
    """Up to five steps, each needing some of those before it."""
    names = ["a", "b", "c", "d", "e"][: draw(st.integers(1, 5))]
    return {name: [n for n in names[:at] if draw(st.booleans())] for at, name in enumerate(names)}


OPERATIONS = st.tuples(
    st.sampled_from(
        ["grant", "succeed", "fail", "final", "stop", "fenced", "lose", "overdue", CANCEL, ROLLBACK, "retry"]
    ),
    st.integers(0, 4),
)


SOME = st.sets(st.sampled_from("abcde"))


@settings(max_examples=200)
@given(
    graphs(), st.lists(OPERATIONS, max_size=40), st.sets(st.sampled_from("abcde")), st.sets(st.sampled_from("abcde"))
)
def test_whatever_happens_the_doctor_finds_nothing_and_there_is_an_end(
    needs: Mapping[str, Sequence[str]], operations: list[tuple[str, int]], plain: set[str], shared: set[str]
) -> None:
    changes = {
        name: {
            "attempts_max": 2,
            "compensatable": name not in plain,
            "target": "warehouse/shared" if name in shared else f"warehouse/{name}",
        }
        for name in needs
    }
    ledger = started(needs, **changes)
    for what, which in operations:
        step_once(ledger, what, which)
        assert ledger.findings() == []
    for _ in range(100):
        if ledger.migration.state in MIGRATION_ENDED | MIGRATION_ASKS_A_PERSON:
            break
        ledger.grant()
        for step_id in list(ledger.live()):
            report(ledger, step_id, AttemptState.SUCCEEDED)
        assert ledger.findings() == []
    assert ledger.migration.state in MIGRATION_ENDED | MIGRATION_ASKS_A_PERSON


def step_once(ledger: Ledger, what: str, which: int) -> None:
    """Let one thing happen, where it can."""
    live = sorted(ledger.live().values())
    waiting = [step for step in ledger.steps.values() if step.state is StepState.READY]
    reported = {
        "succeed": AttemptState.SUCCEEDED,
        "fail": AttemptState.FAILED,
        "final": AttemptState.FAILED,
        "stop": AttemptState.CANCELLED,
        "fenced": AttemptState.FENCED,
    }
    if what == "grant":
        ledger.grant()
    elif what in reported and live:
        report(ledger, live[which % len(live)].step_id, reported[what], FINAL if what == "final" else None)
    elif what == "lose" and live:
        attempt = live[which % len(live)]
        silent = Failure("lease_expired", "silent")
        ledger.apply(expire(ledger.steps[attempt.step_id], attempt, silent, ledger.now, lock_delay_s=1.0))
        ledger.advance()
    elif what == "overdue" and waiting:
        ledger.apply(fail_waiting(waiting[which % len(waiting)], Failure("queue_timeout", "late"), ledger.now))
        ledger.advance()
    elif what in (CANCEL, ROLLBACK):
        go_on(ledger, ask(ledger, what))
    elif what == "retry":
        go_on(ledger, retry(ledger.migration, list(ledger.steps.values()), ledger.now))


def go_on(ledger: Ledger, answer: Changes | Refused) -> None:
    if isinstance(answer, Changes):
        ledger.apply(answer)
        ledger.advance()
