"""Pacing by given instants."""

from controlplane.rpc.rollouts.bandwidth import BandwidthLimiter


def test_bytes_go_one_after_the_other() -> None:
    pace = BandwidthLimiter(100.0)
    assert [pace.reserve(50, now) for now in (10.0, 10.0, 10.1)] == [10.0, 10.5, 11.0]


def test_nothing_is_saved_up_while_nobody_comes() -> None:
    pace = BandwidthLimiter(100.0)
    pace.reserve(100, 0.0)
    assert pace.reserve(100, 60.0) == 60.0
    assert pace.reserve(100, 60.0) == 61.0


def test_one_that_asks_for_much_delays_only_those_behind_it() -> None:
    everybody, one, other = BandwidthLimiter(1000.0), BandwidthLimiter(10.0), BandwidthLimiter(1000.0)
    slow = [max(one.reserve(10, 0.0), everybody.reserve(10, 0.0)) for _ in range(5)]
    quick = [max(other.reserve(10, 0.0), everybody.reserve(10, 0.0)) for _ in range(5)]
    assert slow == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert quick[-1] < 0.1
