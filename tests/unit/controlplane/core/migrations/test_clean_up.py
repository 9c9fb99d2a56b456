"""What ended migrations leave behind: when it is due, which steps it is of, and what a rollback can still do."""

import pytest

from controlplane.core.migrations.clean_up import (
    CLEAN_UP,
    Kept,
    Left,
    WayBack,
    due,
    former_may_be_gone,
    to_clean,
    way_back,
)
from controlplane.core.model import Step
from controlplane.core.states import MIGRATION_ENDED, MigrationState, StepState
from tests.kit.builders import NOW, a_migration, a_step

DEFAULT = Kept("", 100.0, 1000.0)
ENDED = a_migration(state=MigrationState.SUCCEEDED, ended_at=NOW)
EXTRACT = a_step(id="step_1", name="extract", kind="extract", state=StepState.SUCCEEDED, touched=True)
LOAD = a_step(id="step_2", name="load", kind="load", state=StepState.SUCCEEDED, touched=True)
VALIDATE = a_step(id="step_3", name="validate", kind="validate", state=StepState.SUCCEEDED, touched=True)
STEPS = [EXTRACT, LOAD, VALIDATE]


def clean_up_of(name: str, *, touched: bool) -> Step:
    return a_step(id="step_9", name=f"{name}.clean-up", kind=CLEAN_UP, state=StepState.READY, touched=touched)


def test_a_manifest_goes_before_the_setting_and_history_before_both() -> None:
    assert Kept("m", None, None).within(DEFAULT, 1e9)[1:3] == (100.0, 1000.0)
    assert Kept("m", 5.0, 7.0).within(DEFAULT, 1e9)[1:3] == (5.0, 7.0)
    assert Kept("m", 5.0, None).within(DEFAULT, 6.0)[1:3] == (5.0, 6.0)


@pytest.mark.parametrize(
    ("later_s", "lefts"), [(99.0, set()), (100.0, {Left.STAGED}), (999.0, {Left.STAGED}), (1000.0, set(Left))]
)
def test_each_sort_is_due_in_its_own_time(later_s: float, lefts: set[Left]) -> None:
    assert due(ENDED, DEFAULT, NOW + later_s) == lefts


def test_what_was_planned_is_not_due_again() -> None:
    kept = DEFAULT.planned({Left.STAGED}, NOW + 100.0)
    assert (kept.planned_at(Left.STAGED), kept.planned_at(Left.FORMER)) == (NOW + 100.0, None)
    assert due(ENDED, kept, NOW + 5000.0) == {Left.FORMER}
    assert due(ENDED, kept.planned({Left.FORMER}, NOW), NOW + 5000.0) == set()


@pytest.mark.parametrize("state", MigrationState)
def test_nothing_is_due_before_the_end(state: MigrationState) -> None:
    found = due(a_migration(state=state, ended_at=NOW), DEFAULT, NOW + 5000.0)
    assert bool(found) == (state in MIGRATION_ENDED)
    assert due(a_migration(state=state, ended_at=None), DEFAULT, NOW + 5000.0) == set()


def test_each_step_that_left_something_is_cleaned_up_once() -> None:
    assert to_clean(STEPS, set(Left)) == [EXTRACT, LOAD]
    assert to_clean(STEPS, {Left.STAGED}) == [EXTRACT]
    assert to_clean([*STEPS, clean_up_of("extract", touched=False)], set(Left)) == [LOAD]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"touched": False}, False),
        ({"state": StepState.UNDONE}, False),
        ({"state": StepState.CANCELLED}, False),
        ({"state": StepState.FAILED}, True),
    ],
)
def test_a_step_that_never_ran_or_was_undone_left_nothing(changes: dict[str, object], wanted: bool) -> None:
    assert bool(to_clean([EXTRACT._replace(**changes)], set(Left))) == wanted  # type: ignore[arg-type]


def test_a_rollback_is_refused_from_the_first_lease_of_the_clean_up_on() -> None:
    planned, leased = clean_up_of("load", touched=False), clean_up_of("load", touched=True)
    of_parts = clean_up_of("extract", touched=True)
    assert not former_may_be_gone([*STEPS, planned, of_parts])
    assert former_may_be_gone([*STEPS, leased])
    assert way_back(ENDED, [*STEPS, planned], was_empty=False) is WayBack.RESTORES
    assert way_back(ENDED, [*STEPS, leased], was_empty=False) is WayBack.REFUSED
    assert way_back(ENDED, [*STEPS, leased], was_empty=True) is WayBack.REMOVES
    assert way_back(a_migration(), STEPS, was_empty=False) is None
