"""A release that crashes, on simulated agents behind a real control plane: the short form of `make rollouts`."""

from tests.rollouts.__main__ import is_fine, simulated


def test_a_release_that_crashes_halts_among_the_canaries_and_a_cancel_is_final() -> None:
    results = simulated(30, ["crashes", "cancel"])
    assert [result["manner"] for result in results] == ["crashes", "good, cancelled on its way"]
    assert all(map(is_fine, results)), results
