"""The gate: rule listed or not by approved, not, something else, something since."""

import pytest

from controlplane.core.access.approvals import GATED_METHODS, ROADS, Asks, Item, Known, Passed, Plan, Waits, gate

A, B, C = Item("a", "generation 1"), Item("b", "generation 1"), Item("c", "generation 1")
EVERYTHING = Plan("StartMigrations", "--all", (A, B))


def given(plan: Plan, number: int = 1) -> Known:
    return Known(f"apr_{number}", True, plan)


def pending(plan: Plan, number: int = 1) -> Known:
    return Known(f"apr_{number}", False, plan)


def test_every_road_has_a_method_and_an_effect() -> None:
    assert all(road.asked and road.effect for road in ROADS)
    assert {road.method for road in ROADS} == GATED_METHODS
    assert len({road.asked for road in ROADS}) == len(ROADS)


def test_what_no_rule_lists_passes_whatever_was_approved() -> None:
    for known in ([], [given(EVERYTHING)], [pending(EVERYTHING)]):
        assert gate(EVERYTHING, known, is_ruled=False) == Passed((A, B))


def test_what_touches_nothing_needs_nobody() -> None:
    assert gate(Plan("StartMigrations", "--all", ()), [], is_ruled=True) == Passed(())


def test_without_an_approval_it_is_asked_for_once() -> None:
    assert gate(EVERYTHING, [], is_ruled=True) == Asks("")
    assert gate(EVERYTHING, [pending(EVERYTHING)], is_ruled=True) == Waits("apr_1")


def test_the_approved_list_passes_and_what_was_applied_since_is_left_out() -> None:
    assert gate(EVERYTHING, [given(EVERYTHING)], is_ruled=True) == Passed((A, B), (), "apr_1")
    later = EVERYTHING._replace(items=(A, B, C))
    assert gate(later, [given(EVERYTHING)], is_ruled=True) == Passed((A, B), ("c",), "apr_1")


def test_what_is_over_meanwhile_is_missing_and_the_rest_passes() -> None:
    assert gate(EVERYTHING._replace(items=(B, C)), [given(EVERYTHING)], is_ruled=True) == Passed((B,), ("c",), "apr_1")
    assert gate(EVERYTHING._replace(items=(C,)), [given(EVERYTHING)], is_ruled=True) == Asks("")


def test_what_changed_since_is_not_what_was_approved() -> None:
    now = EVERYTHING._replace(items=(A, B._replace(state="generation 2"), C))
    assert gate(now, [given(EVERYTHING)], is_ruled=True) == Asks("b changed since the approval")


@pytest.mark.parametrize(
    "other",
    [
        Plan("StartMigrations", "a", (A,)),
        Plan("StartMigrations", "c", (C,)),
        Plan("StartMigrations", "a, b, c", (A, B, C)),
        EVERYTHING._replace(reason="another"),
    ],
)
def test_an_approval_of_something_else_lets_nothing_pass(other: Plan) -> None:
    assert isinstance(gate(EVERYTHING, [given(other)], is_ruled=True), Asks)
    assert isinstance(gate(EVERYTHING, [pending(other)], is_ruled=True), Asks)


def test_the_same_list_passes_by_whichever_road() -> None:
    named = Plan("StartMigrations", "a, b", (B, A))
    assert named.digest == EVERYTHING.digest
    assert gate(named, [given(EVERYTHING)], is_ruled=True) == Passed((B, A), (), "apr_1")


def test_a_list_that_grew_while_it_waited_is_asked_for_in_place_of_the_old_one() -> None:
    grown = EVERYTHING._replace(items=(A, B, C))
    elsewhere = pending(Plan("StartMigrations", "a", (A,)), 2)
    assert gate(grown, [pending(EVERYTHING), elsewhere], is_ruled=True) == Asks("", ("apr_1",))
