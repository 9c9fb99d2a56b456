"""Strangers are paced by their address, and all of them together."""

import pytest

from controlplane.service.access.rate_limits import (
    A_SECOND,
    A_SECOND_OF_ALL,
    ADDRESSES_MAX,
    BURST,
    BURST_OF_ALL,
    RateLimiter,
    network_of,
)


def spend(pace: RateLimiter, address: str, number: int, now: float = 0.0) -> int:
    """How many of so many requests may go on."""
    return sum(pace.wait_s(address, now) == 0.0 for _ in range(number))


def test_one_address_is_held_to_its_burst_and_its_pace() -> None:
    pace = RateLimiter()
    assert spend(pace, "ipv4:10.0.0.1", 1000) == BURST
    assert pace.wait_s("ipv4:10.0.0.1", 0.0) == pytest.approx(1.0 / A_SECOND)
    assert spend(pace, "ipv4:10.0.0.1", 1000, 10.0) == 10.0 * A_SECOND
    # Nobody else pays for it.
    assert spend(pace, "ipv4:10.0.0.2", 10, 10.0) == 10


def test_all_together_are_held_too() -> None:
    pace = RateLimiter()
    assert sum(spend(pace, f"ipv4:10.0.{n}.1", 10) for n in range(200)) == BURST_OF_ALL
    assert sum(spend(pace, f"ipv4:10.0.{n}.1", 10, 1.0) for n in range(200)) == A_SECOND_OF_ALL


def test_memory_is_bounded() -> None:
    pace = RateLimiter()
    for number in range(ADDRESSES_MAX + 500):
        pace.wait_s(f"ipv4:10.{number // 65536}.{number // 256 % 256}.{number % 256}", float(number))
    assert len(pace._of) == ADDRESSES_MAX


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("ipv4:127.0.0.1", "127.0.0.1"),
        ("ipv6:[2001:db8:0:1::7]", "2001:db8:0:1::/64"),
        ("ipv6:%5B::1%5D", "::/64"),
        ("unix:/run/x", "unix:/run/x"),
    ],
)
def test_whoever_owns_a_network_counts_once(address: str, network: str) -> None:
    assert network_of(address) == network
