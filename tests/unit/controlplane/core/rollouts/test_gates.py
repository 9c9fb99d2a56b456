"""Gates: what a change for the worse is, and what it is not."""

import random

import pytest

from controlplane.core.hosts import Facts
from controlplane.core.rollouts.gates import closed_gate, errs_more, groups_of, is_slower
from controlplane.core.rollouts.model import HostState, RolloutHost, RolloutPolicy, StepCounts


def steps(durations: list[float]) -> StepCounts:
    import math

    logs = [math.log(each) for each in durations]
    return StepCounts(len(logs), 0, len(logs), sum(logs), sum(log * log for log in logs))


def a_row(
    number: int, past: StepCounts, after: StepCounts, groups: tuple[str, ...] = ("debian/x86_64/csv",)
) -> RolloutHost:
    return RolloutHost(
        f"ag_{number}", 0, groups, HostState.KEPT, 1.0, 0.0, None, "0.1.0", "a", 1, "", "", past, after
    )  # fmt: skip


@pytest.mark.parametrize(
    ("past", "after", "closes"),
    [
        (StepCounts(), StepCounts(), False),
        (StepCounts(1000, 10), StepCounts(3, 3), False),
        (StepCounts(1000, 10), StepCounts(4, 4), True),
        (StepCounts(1000, 10), StepCounts(100, 1), False),
        (StepCounts(1000, 10), StepCounts(100, 12), True),
        (StepCounts(1000, 300), StepCounts(20, 6), False),
        (StepCounts(1000, 300), StepCounts(40, 38), True),
        (StepCounts(10, 10), StepCounts(10, 9), False),
        (StepCounts(), StepCounts(5, 5), True),
    ],
)
def test_errors_close_the_gate_when_they_are_more_than_before(
    past: StepCounts, after: StepCounts, closes: bool
) -> None:
    assert bool(errs_more(past, after, 3.0)) is closes


def test_hosts_that_err_as_before_seldom_close_it() -> None:
    chance = random.Random(7)
    closed = 0
    for _ in range(300):
        failed = 0
        for ended in range(1, 200):
            failed += chance.random() < 0.02
            if errs_more(StepCounts(2000, 40), StepCounts(ended, failed), 3.0):
                closed += 1
                break
    assert closed <= 3


@pytest.mark.parametrize(
    ("past", "after", "closes"),
    [
        ([1.0] * 9, [9.0] * 20, False),
        ([1.0] * 20, [9.0] * 4, False),
        ([1.0] * 20, [9.0] * 5, True),
        ([1.0] * 20, [1.9] * 50, False),
        ([1.0, 2.0, 4.0] * 10, [10.0, 20.0, 40.0] * 4, True),
        ([1.0, 2.0, 4.0] * 10, [1.0, 2.0, 4.0] * 4, False),
    ],
)
def test_slowness_closes_the_gate_when_it_is_more_than_chance(
    past: list[float], after: list[float], closes: bool
) -> None:
    assert bool(is_slower(steps(past), steps(after), 2.0)) is closes


def test_a_group_of_its_own_is_noticed_among_many_others() -> None:
    good = [a_row(number, StepCounts(500, 1), StepCounts(300, 0)) for number in range(9)]
    bad = a_row(9, StepCounts(500, 1), StepCounts(6, 6), ("debian/x86_64/duckdb",))
    code, cause = closed_gate([*good, bad], RolloutPolicy()) or ("", "")
    assert (code, cause) == (
        "step_errors",
        "6 of 6 steps failed on it, 1 of 500 before on debian/x86_64/duckdb",
    )
    assert closed_gate(good, RolloutPolicy()) is None


def test_slow_hosts_are_named_by_their_gate() -> None:
    slow = [a_row(0, steps([1.0] * 30), steps([5.0] * 8))]
    code, cause = closed_gate(slow, RolloutPolicy()) or ("", "")
    assert (code, cause) == ("slow", "steps take 5.0 times as long as on the same hosts before")


def test_a_host_that_tells_nothing_has_a_group_too() -> None:
    assert groups_of(Facts(), []) == ("unknown/unknown/none",)
