"""When a failed try becomes another try."""

from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.retrying import LOSSES_MAX, backoff_s, may_retry
from tests.kit.builders import a_step


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
    assert may_retry(step, retryable=True, failures=2)
    assert not may_retry(step, retryable=True, failures=3)
    assert not may_retry(step, retryable=False, failures=1)


def test_losses_do_not_count_but_do_not_go_on_for_ever() -> None:
    assert may_retry(a_step(attempts_max=3, attempts=2 + LOSSES_MAX), retryable=True, failures=0)
    assert not may_retry(a_step(attempts_max=3, attempts=3 + LOSSES_MAX), retryable=True, failures=0)
