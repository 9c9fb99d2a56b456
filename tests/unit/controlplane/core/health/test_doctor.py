"""The doctor: a healthy migration has no findings, and each broken promise is found by its name."""

from collections.abc import Callable
from typing import Any

import pytest

from controlplane.core.health.doctor import Contradiction, examine_targets
from controlplane.core.migrations.workflow_planning import undo
from controlplane.core.states import AttemptState, Direction, MigrationState, StepState
from controlplane.core.steps.leasing import settle
from tests.kit.builders import FENCE, NOW, an_attempt
from tests.unit.controlplane.core.ledger import Ledger, outcome_of, started

CHAIN = {"extract": [], "load": ["extract"], "validate": ["load"]}


def running() -> Ledger:
    """The first step of a chain is leased."""
    ledger = started(CHAIN, load={"pivot": True})
    ledger.grant()
    return ledger


def succeeded() -> Ledger:
    """A chain that was moved wholly."""
    ledger = started(CHAIN, load={"pivot": True})
    while ledger.grant():
        for step_id, attempt in ledger.live().items():
            ledger.apply(settle(ledger.steps[step_id], attempt, outcome_of(attempt, AttemptState.SUCCEEDED), NOW))
        ledger.advance()
    assert ledger.migration.state is MigrationState.SUCCEEDED
    return ledger


def rolled_back() -> Ledger:
    """A chain that was undone after its first step."""
    ledger = running()
    ledger.apply(
        undo(
            ledger.migration,
            list(ledger.steps.values()),
            ledger.live(),
            ask="MigrationRollbackAsked",
            reason="",
            now=NOW,
        )
    )
    ledger.advance()
    for attempt in ledger.grant():
        step = ledger.steps[attempt.step_id]
        ledger.apply(settle(step, attempt, outcome_of(attempt, AttemptState.SUCCEEDED), NOW))
    ledger.advance()
    assert ledger.migration.state is MigrationState.ROLLED_BACK
    return ledger


def change(ledger: Ledger, name: str, **changes: Any) -> None:
    step = ledger.named(name)
    ledger.steps[step.id] = step._replace(**changes)


def found(ledger: Ledger) -> set[tuple[str, str]]:
    return {(finding.promise, finding.subject) for finding in ledger.findings()}


@pytest.mark.parametrize("healthy", [running, succeeded, rolled_back])
def test_a_healthy_migration_has_no_findings(healthy: Callable[[], Ledger]) -> None:
    assert healthy().findings() == []


def test_a_second_live_lease_on_a_step() -> None:
    ledger = running()
    ledger.attempts["att_1_2"] = an_attempt(id="att_1_2", number=2, fence=FENCE + 1, target="warehouse/extract")
    assert ("L2", "step_1") in found(ledger)
    assert Contradiction("L2", "step_1", "2 live leases: att_1_1, att_1_2") in ledger.findings()


def test_a_leased_step_without_a_lease_and_a_lease_without_a_leased_step() -> None:
    orphan, widow = running(), running()
    orphan.attempts.clear()
    change(widow, "extract", state=StepState.READY, queue_deadline_at=NOW)
    assert Contradiction("L4", "step_1", "the step is leased with 0 live leases") in orphan.findings()
    assert Contradiction("L4", "step_1", "the step is ready with 1 live leases") in widow.findings()


def test_a_lease_that_goes_the_other_way() -> None:
    ledger = running()
    change(ledger, "extract", direction=Direction.UNDO)
    assert Contradiction("L4", "step_1", "the live lease goes the other way than the step") in ledger.findings()


def test_what_limits_are_counted_over_is_what_moves() -> None:
    forgotten, left_over = running(), succeeded()
    forgotten.is_under_way = False
    left_over.is_under_way = True
    assert (
        Contradiction("S8", "mig_1", "a step of it is leased and it does not count as under way")
        in forgotten.findings()
    )
    assert Contradiction("S8", "mig_1", "it is succeeded and still counts as under way") in left_over.findings()


def test_attempts_that_were_not_counted() -> None:
    ledger = running()
    change(ledger, "extract", attempts=2)
    assert Contradiction("L4", "step_1", "the step counts 2 attempts, the log has 1") in ledger.findings()


def test_success_and_undo_need_an_attempt_that_did_it() -> None:
    ledger = succeeded()
    attempt = ledger.attempts["att_3_1"]
    ledger.attempts["att_3_1"] = attempt._replace(direction=Direction.UNDO)
    assert Contradiction("L4", "step_3", "the step has succeeded without a successful attempt") in ledger.findings()
    undone = rolled_back()
    undone.attempts["att_1_2"] = undone.attempts["att_1_2"]._replace(direction=Direction.FORWARD)
    assert Contradiction("S5", "step_1", "the step is undone without a successful undo") in undone.findings()


def test_a_migration_that_succeeded_without_its_steps() -> None:
    ledger = succeeded()
    change(ledger, "validate", state=StepState.FAILED)
    assert Contradiction("L4", "mig_1", "succeeded with steps that are failed, succeeded") in ledger.findings()


@pytest.mark.parametrize("state", [MigrationState.CANCELLED, MigrationState.ROLLED_BACK])
def test_a_step_that_was_left_behind(state: MigrationState) -> None:
    ledger = rolled_back()
    ledger.migration = ledger.migration._replace(state=state)
    change(ledger, "extract", state=StepState.SUCCEEDED)
    assert Contradiction("S5", "mig_1", f"{state} although step_1 was not undone") in ledger.findings()


def test_waiting_without_a_deadline() -> None:
    ledger = started(CHAIN)
    change(ledger, "extract", queue_deadline_at=None)
    assert found(ledger) == {("S6", "step_1")}


def test_an_open_migration_in_which_nothing_can_move() -> None:
    ledger = started(CHAIN)
    change(ledger, "extract", state=StepState.BLOCKED)
    message = "the migration is running and no step of it is ready or leased"
    assert Contradiction("S6", "mig_1", message) in ledger.findings()


def test_a_step_that_began_too_early() -> None:
    ledger = running()
    change(ledger, "load", state=StepState.READY, queue_deadline_at=NOW)
    message = "it is ready before extract, which it needs, succeeded"
    assert Contradiction("S5", "step_2", message) in ledger.findings()


def test_an_undo_that_began_too_early() -> None:
    ledger = rolled_back()
    change(ledger, "load", state=StepState.BLOCKED, direction=Direction.UNDO)
    assert Contradiction("S5", "step_1", "its undo began before load, which needs it, was undone") in ledger.findings()


def test_a_second_pivot() -> None:
    ledger = running()
    change(ledger, "validate", pivot=True)
    assert found(ledger) == {("S4", "mig_1")}


def test_a_pivot_that_succeeded_and_is_undone() -> None:
    ledger = succeeded()
    change(ledger, "load", state=StepState.BLOCKED, direction=Direction.UNDO)
    message = "the pivot had succeeded and is being undone"
    assert Contradiction("S4", "step_2", message) in ledger.findings()
    cancelled = rolled_back()
    change(cancelled, "load", direction=Direction.UNDO)
    assert ("S4", "step_2") not in found(cancelled)
    never = succeeded()
    change(never, "load", state=StepState.READY, direction=Direction.UNDO, queue_deadline_at=NOW)
    never.attempts["att_2_1"] = never.attempts["att_2_1"]._replace(state=AttemptState.LOST)
    assert ("S4", "step_2") not in found(never)


def test_rows_that_are_not_what_the_events_say() -> None:
    ledger = running()
    ledger.migration = ledger.migration._replace(state=MigrationState.FAILED)
    change(ledger, "validate", state=StepState.CANCELLED)
    ledger.attempts["att_1_1"] = ledger.attempts["att_1_1"]._replace(state=AttemptState.LOST)
    findings = ledger.findings()
    assert Contradiction("C3", "mig_1", "is failed, its events fold to running") in findings
    assert Contradiction("C3", "step_3", "is cancelled, its events fold to blocked") in findings
    assert Contradiction("C3", "att_1_1", "is lost, its events fold to running") in findings


def test_facts_about_others_change_nothing() -> None:
    ledger = running()
    ledger.events.append(ledger.events[-1]._replace(type="LateResult", subject="step_1", attempt_id="att_9_9"))
    assert ledger.findings() == []


def test_fences_of_a_target_rise_strictly_and_are_remembered() -> None:
    first = an_attempt(state=AttemptState.SUCCEEDED)
    second = an_attempt(id="att_2_1", fence=FENCE, state=AttemptState.SUCCEEDED)
    elsewhere = an_attempt(id="att_3_1", fence=1, target="elsewhere", state=AttemptState.SUCCEEDED)
    fences = {"warehouse/flights": FENCE, "elsewhere": 1}
    assert examine_targets([first, elsewhere], fences) == []
    assert examine_targets([first, second], fences) == [
        Contradiction("L1", "att_2_1", f"fence {FENCE} of warehouse/flights follows {FENCE} of att_1_1")
    ]
    assert examine_targets([first], {}) == [
        Contradiction("L1", "att_1_1", f"fence {FENCE} is above what its target remembers")
    ]


def test_a_target_has_one_live_writer() -> None:
    other = an_attempt(id="att_2_1", fence=FENCE + 1)
    assert examine_targets([an_attempt(), other], {"warehouse/flights": FENCE + 1}) == [
        Contradiction("L2", "att_2_1", "warehouse/flights has two live writers, also att_1_1")
    ]
