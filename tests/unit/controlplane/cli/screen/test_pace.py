"""Rates and ETAs."""

import pytest

from controlplane.cli.screen.pace import RateEstimate


def test_a_steady_pace_is_told_exactly() -> None:
    pace = RateEstimate()
    for second in range(10):
        pace.see("load", 1000 * second, 100.0 + second)
    assert pace.per_s == pytest.approx(1000)
    assert pace.eta_s(20_000) == pytest.approx(11)


def test_nothing_is_known_at_first() -> None:
    pace = RateEstimate()
    pace.see("load", 500, 1.0)
    assert pace.per_s == 0
    assert pace.eta_s(1000) is None


def test_without_a_total_there_is_no_eta() -> None:
    pace = RateEstimate()
    pace.see("load", 0, 0.0)
    pace.see("load", 10, 1.0)
    assert pace.eta_s(0) is None


def test_past_the_total_there_is_nothing_left() -> None:
    pace = RateEstimate()
    pace.see("load", 0, 0.0)
    pace.see("load", 50, 1.0)
    assert pace.eta_s(40) == 0


def test_another_step_or_a_fresh_attempt_starts_afresh() -> None:
    pace = RateEstimate()
    pace.see("extract", 0, 0.0)
    pace.see("extract", 100, 1.0)
    pace.see("load", 100, 2.0)
    assert pace.per_s == 0
    pace.see("load", 200, 3.0)
    assert pace.per_s == pytest.approx(100)
    pace.see("load", 0, 4.0)
    assert pace.per_s == 0


def test_a_new_speed_takes_over_within_a_few_half_lives() -> None:
    pace = RateEstimate()
    at, value = 0.0, 0.0
    for speed, seconds in ((100, 30), (900, 30)):
        for _ in range(seconds):
            at, value = at + 1, value + speed
            pace.see("load", value, at)
    assert 850 < pace.per_s <= 900


def test_two_looks_at_one_instant_change_nothing() -> None:
    pace = RateEstimate()
    pace.see("load", 0, 5.0)
    pace.see("load", 100, 5.0)
    assert pace.per_s == 0
