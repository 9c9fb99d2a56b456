"""When a failed try becomes another try."""

from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.steps.retrying import (
    LOSSES_MAX,
    OUTAGE_PAUSE_MIN_S,
    backoff_s,
    is_outage_over,
    may_retry,
    outage_began_at,
    outage_pause_s,
)
from tests.kit.builders import NOW, a_step, an_attempt


def test_waits_double_from_the_first_to_the_longest() -> None:
    step = a_step(backoff_initial_s=2.0, backoff_factor=2.0, backoff_max_s=10.0)
    assert [backoff_s(step, failures) for failures in range(6)] == [0.0, 2.0, 4.0, 8.0, 10.0, 10.0]


@given(
    failures=st.integers(0, 10**9),
    initial=st.floats(0.0, 1e6),
    factor=st.floats(1.0, 1000.0),
    longest=st.floats(0.0, 1e6),
)
def test_a_wait_is_finite_never_shrinks_and_never_passes_the_longest(
    failures: int, initial: float, factor: float, longest: float
) -> None:
    step = a_step(backoff_initial_s=initial, backoff_factor=factor, backoff_max_s=longest)
    assert 0.0 <= backoff_s(step, failures) <= backoff_s(step, failures + 1) <= longest


def test_tries_end_at_their_number() -> None:
    step = a_step(attempts_max=3, attempts=3)
    assert may_retry(step, retryable=True, failures=2, losses=0)
    assert not may_retry(step, retryable=True, failures=3, losses=0)
    assert not may_retry(step, retryable=False, failures=1, losses=0)


def test_losses_do_not_count_but_do_not_go_on_for_ever() -> None:
    step = a_step(attempts_max=3, attempts=1000)
    assert may_retry(step, retryable=True, failures=0, losses=LOSSES_MAX - 1)
    assert not may_retry(step, retryable=True, failures=0, losses=LOSSES_MAX)


def test_an_outage_lasts_from_its_first_try_less_the_time_of_work() -> None:
    attempt = an_attempt(granted_at=NOW)
    assert outage_began_at(a_step(), attempt, moved=True, now=NOW + 50.0) == NOW + 50.0
    away = a_step(unreachable_since=NOW - 100.0)
    assert outage_began_at(away, attempt, moved=False, now=NOW + 50.0) == NOW - 100.0
    assert outage_began_at(away, attempt, moved=True, now=NOW + 50.0) == NOW - 50.0
    # A clock that was set back makes no outage of the future.
    assert outage_began_at(a_step(unreachable_since=NOW), attempt, moved=True, now=NOW - 9.0) == NOW - 9.0


def test_an_outage_is_over_at_its_limit() -> None:
    step = a_step(unreachable_for_s=900.0)
    assert not is_outage_over(step, NOW, NOW + 899.0)
    assert is_outage_over(step, NOW, NOW + 900.0)


@given(initial=st.floats(0.0, 10.0), factor=st.floats(1.0, 10.0), limit=st.floats(0.001, 1e6), work=st.booleans())
def test_an_outage_ends_after_boundedly_many_tries(initial: float, factor: float, limit: float, work: bool) -> None:
    """Promise S6, also where every try gets on with its work before it is interrupted, and whatever the pauses."""
    step = a_step(backoff_initial_s=initial, backoff_factor=factor, backoff_max_s=60.0, unreachable_for_s=limit)
    now, tries, pause = NOW, 0, 0.0
    while step.unreachable_since is None or not is_outage_over(step, step.unreachable_since, now):
        tries += 1
        assert tries <= limit / OUTAGE_PAUSE_MIN_S + 3
        attempt = an_attempt(granted_at=now)
        now += 3600.0 if work else 0.0
        began_at = outage_began_at(step, attempt, moved=work, now=now)
        before, pause = pause, outage_pause_s(step, began_at, now)
        assert OUTAGE_PAUSE_MIN_S <= pause <= 60.0
        assert pause >= before - 1e-3
        step = step._replace(unreachable_since=began_at)
        now += pause
        if tries >= 2000:
            break
