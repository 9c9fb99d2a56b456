"""A refuted proof puts the former content back; what a person or another migration ends; beginning again."""

import pytest

from controlplane.core.changes import Changes
from controlplane.core.health.doctor import examine_iterations
from controlplane.core.migrations.deciding import ABANDON, ACCEPT, decide, supersede
from controlplane.core.migrations.resuming import is_past_pivot, must_begin_again, retry
from controlplane.core.migrations.workflow_planning import advance, undo
from controlplane.core.model import Failure
from controlplane.core.states import AttemptState, Direction, MigrationState, StepState
from controlplane.core.steps.leasing import Refused
from tests.kit.builders import NOW, a_migration, a_step
from tests.unit.controlplane.core.ledger import Ledger, started
from tests.unit.controlplane.core.migrations.test_workflow_planning import (
    CANCEL,
    CHAIN,
    FINAL,
    ROLLBACK,
    ask,
    finish,
    state_of,
)

WRONG = Failure("verification_failed", "3 rows differ", "look at them", retryable=False)
OVER = Failure("published_over", "migration other has published over this one", retryable=False)
READS = {"compensatable": False}


def refuted() -> Ledger:
    """A chain whose proof has just failed: its undo is under way."""
    ledger = started(CHAIN, validate=READS)
    finish(ledger)
    finish(ledger)
    finish(ledger, AttemptState.FAILED, WRONG)
    return ledger


def restored() -> Ledger:
    ledger = refuted()
    finish(ledger)
    finish(ledger)
    return ledger


def again(ledger: Ledger, why: str = "") -> None:
    steps = list(ledger.steps.values())
    ledger.apply(retry(ledger.migration, steps, ledger.now, "ada", again=why or must_begin_again(steps)))
    ledger.advance()


def test_a_refuted_proof_is_followed_by_the_undo_of_what_it_looked_at() -> None:
    ledger = refuted()
    assert state_of(ledger) == MigrationState.RESTORING
    assert ledger.states() == {"extract": "blocked", "load": "ready", "validate": "failed"}
    assert ledger.named("load").direction is Direction.UNDO
    assert ledger.findings() == []
    finish(ledger)
    finish(ledger)
    assert ledger.states() == {"extract": "undone", "load": "undone", "validate": "failed"}
    assert state_of(ledger) == MigrationState.FAILED
    assert ledger.migration.reason == "step validate: 3 rows differ; the former content is back"
    assert (ledger.named("validate").reason, ledger.named("validate").hint) == ("3 rows differ", "look at them")
    assert ledger.findings() == []


def test_a_proof_that_could_not_be_made_refutes_nothing() -> None:
    ledger = started(CHAIN, validate={**READS, "attempts_max": 1})
    finish(ledger)
    finish(ledger)
    finish(ledger, AttemptState.FAILED, Failure("unreachable", "no route"))
    assert state_of(ledger) == MigrationState.FAILED
    assert ledger.states() == {"extract": "succeeded", "load": "succeeded", "validate": "failed"}
    again(ledger)
    assert ledger.states() == {"extract": "succeeded", "load": "succeeded", "validate": "ready"}


def test_past_a_pivot_nothing_is_put_back() -> None:
    ledger = started({"load": [], "switch": ["load"], "validate": ["switch"]}, switch={"pivot": True}, validate=READS)
    finish(ledger)
    finish(ledger)
    finish(ledger, AttemptState.FAILED, WRONG)
    assert state_of(ledger) == MigrationState.FAILED
    assert ledger.states() == {"load": "succeeded", "switch": "succeeded", "validate": "failed"}
    assert is_past_pivot(list(ledger.steps.values()))


def test_the_doctor_sees_what_was_left_standing_after_its_proof_failed() -> None:
    ledger = restored()
    load = ledger.named("load")
    ledger.steps[load.id] = load._replace(state=StepState.SUCCEEDED)
    assert "D9" in {finding.promise for finding in ledger.findings()}


def test_the_doctor_sees_an_ended_migration_that_still_moves() -> None:
    ledger = started(CHAIN)
    ledger.migration = ledger.migration._replace(state=MigrationState.ABANDONED)
    assert "L4" in {finding.promise for finding in ledger.findings()}


def test_the_doctor_sees_two_open_iterations_and_a_gap() -> None:
    first, third = a_migration(), a_migration(iteration=3)
    assert [finding.promise for finding in examine_iterations([first, third])] == ["S7", "S7"]
    assert examine_iterations([a_migration(state=MigrationState.ACCEPTED), a_migration(iteration=2)]) == []


def test_where_there_is_nothing_to_put_back_a_refuted_proof_just_fails() -> None:
    ledger = started({"look": [], "validate": ["look"]}, look=READS, validate=READS)
    finish(ledger)
    finish(ledger, AttemptState.FAILED, WRONG)
    assert state_of(ledger) == MigrationState.FAILED
    assert must_begin_again(list(ledger.steps.values())) == "its proof failed, so it reads the source again"


def test_when_the_former_content_cannot_be_put_back_it_is_stuck_and_says_why_it_was_to_be() -> None:
    ledger = refuted()
    finish(ledger, AttemptState.FAILED, Failure("not_ours", "somebody wrote there", retryable=False))
    assert state_of(ledger) == MigrationState.STUCK
    told = "step load: somebody wrote there; it was to be put back because step validate: 3 rows differ"
    assert ledger.migration.reason == told
    again(ledger)
    assert state_of(ledger) == MigrationState.RESTORING
    finish(ledger)
    finish(ledger)
    assert state_of(ledger) == MigrationState.FAILED
    assert ledger.findings() == []


def test_after_it_was_put_back_a_retry_begins_again_and_can_succeed() -> None:
    ledger = restored()
    again(ledger)
    assert ledger.states() == {"extract": "ready", "load": "blocked", "validate": "blocked"}
    assert {step.direction for step in ledger.steps.values()} == {Direction.FORWARD}
    (asked,) = [event for event in ledger.events if event.type == "MigrationRetried"]
    assert asked.detail == "begins again: what it had done was put back, so it reads the source again (by ada)"
    for _ in range(3):
        finish(ledger)
    assert state_of(ledger) == MigrationState.SUCCEEDED
    assert ledger.findings() == []


@pytest.mark.parametrize("asked", [CANCEL, ROLLBACK])
@pytest.mark.parametrize("when", [refuted, restored])
def test_it_can_be_taken_back_while_and_after_it_is_put_back(asked: str, when: object) -> None:
    ledger = when()  # type: ignore[operator]
    ledger.apply(ask(ledger, asked))
    ledger.advance()
    finish(ledger)
    finish(ledger)
    assert state_of(ledger) in (MigrationState.CANCELLED, MigrationState.ROLLED_BACK)
    assert ledger.states() == {"extract": "undone", "load": "undone", "validate": "cancelled"}
    assert ledger.findings() == []


def test_what_never_began_stays_blocked_when_a_retry_begins_again() -> None:
    ledger = started(CHAIN)
    finish(ledger, AttemptState.FAILED, FINAL)
    again(ledger, "the source side has changed")
    assert ledger.states() == {"extract": "ready", "load": "blocked", "validate": "blocked"}
    assert ledger.findings() == []


def test_over_whom_another_has_published_is_superseded() -> None:
    ledger = started(CHAIN)
    finish(ledger)
    finish(ledger, AttemptState.FAILED, OVER)
    assert state_of(ledger) == MigrationState.SUPERSEDED
    assert ledger.migration.reason == "superseded: step load: migration other has published over this one"
    assert ledger.findings() == []


def test_an_undo_below_another_is_superseded_and_can_be_undone_once_that_is_gone() -> None:
    ledger = started(CHAIN, validate=READS)
    for _ in range(3):
        finish(ledger)
    ledger.apply(ask(ledger, ROLLBACK))
    ledger.advance()
    finish(ledger, AttemptState.FAILED, OVER)
    assert state_of(ledger) == MigrationState.SUPERSEDED
    refused = ask(ledger, CANCEL)
    assert isinstance(refused, Refused) and "been superseded" in refused.because
    ledger.apply(ask(ledger, ROLLBACK))
    ledger.advance()
    finish(ledger)
    finish(ledger)
    assert state_of(ledger) == MigrationState.ROLLED_BACK
    assert ledger.findings() == []


@pytest.mark.parametrize(("event", "state"), [(ACCEPT, "accepted"), (ABANDON, "abandoned")])
@pytest.mark.parametrize("before", [MigrationState.FAILED, MigrationState.STUCK])
def test_a_person_ends_what_asks_for_one(event: str, state: str, before: MigrationState) -> None:
    changes = decide(a_migration(state=before), event, "it is right", NOW, "ada")
    assert isinstance(changes, Changes)
    (move,) = changes.migration_moves
    assert (move.to_state, move.reason, move.ended_at) == (state, "it is right (by ada)", NOW)
    assert [(e.type, e.detail) for e in changes.events] == [(event, "it is right (by ada)")]
    assert not changes.step_moves


@pytest.mark.parametrize("state", set(MigrationState) - {MigrationState.FAILED, MigrationState.STUCK})
def test_nothing_else_is_accepted_or_abandoned(state: MigrationState) -> None:
    refused = decide(a_migration(state=state), ABANDON, "no", NOW)
    assert (
        isinstance(refused, Refused) and f"is {state}: only a failed or stuck one can be abandoned" in refused.because
    )


def test_superseded_by_names_who_it_was() -> None:
    changes = supersede(a_migration(state=MigrationState.STUCK), "other", NOW)
    assert changes.migration_moves[0].reason == "superseded by other"


@pytest.mark.parametrize("state", [MigrationState.CANCELLED, MigrationState.ACCEPTED, MigrationState.ABANDONED])
def test_other_ends_have_no_way_back(state: MigrationState) -> None:
    refused = undo(a_migration(state=state), [a_step()], {}, ask=ROLLBACK, reason="no", now=NOW)
    assert refused == Refused(f"the migration is already {state}")


def test_a_step_that_succeeds_with_nothing_refuted_never_begins_again() -> None:
    assert must_begin_again([a_step(state=StepState.SUCCEEDED), a_step(state=StepState.BLOCKED)]) == ""


def test_tries_of_the_way_forward_are_not_counted_against_the_way_back() -> None:
    tried = a_step(
        id="step_1",
        name="load",
        state=StepState.FAILED,
        reason_code="unreachable",
        failures=5,
        attempts_max=5,
        touched=True,
    )
    proof = a_step(
        id="step_2",
        name="validate",
        kind="validate",
        state=StepState.FAILED,
        reason_code=WRONG.code,
        touched=True,
        compensatable=False,
    )
    loaded = a_step(id="step_3", name="other", state=StepState.SUCCEEDED, touched=True, target="warehouse/other")
    changes = advance(a_migration(), [tried, proof, loaded], {}, NOW)
    readied = {move.step_id: move for move in changes.step_moves if move.to_state is StepState.READY}
    assert readied["step_1"].direction is Direction.UNDO
    assert readied["step_1"].failures == 0
