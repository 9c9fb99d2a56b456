"""Who takes part in a rollout: canaries for each group, shares of all, and why a host is left out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.rollouts.drafting import draft, parse_version, runs, skews, why_not
from controlplane.core.rollouts.model import Host, RolloutPolicy, RolloutState, rollout_after
from controlplane.core.rollouts.windows import Window, is_open
from controlplane.core.states import InvalidTransition
from tests.unit.controlplane.core.rollouts.story import NEW, a_host, a_rollout

GROUPS = [
    f"{os}/{arch}/{kind}" for os in ("debian", "rhel") for arch in ("x86_64", "aarch64") for kind in ("csv", "duckdb")
]


def with_running(number: int = 0, **changes: Any) -> Host:
    host = a_host(number)
    return host._replace(running=host.running._replace(**changes))


@pytest.mark.parametrize(
    ("host", "code"),
    [
        (None, "gone"),
        (a_host(0), ""),
        (a_host(0, connected=False), "away"),
        (with_running(digest=""), "not_a_release"),
        (with_running(digest="")._replace(connected=False), "away"),
        (with_running(opted_out=True), "opted_out"),
        (with_running(pin="0.1.0"), "pinned"),
        (with_running(pin="0.2.0"), ""),
        (with_running(pin=NEW), ""),
        (with_running(failed_digests=("c", NEW)), "failed_before"),
        (with_running(version="0.0.9"), "too_old"),
        (with_running(version="unknown"), ""),
        (a_host(0, architecture="riscv64"), "no_artefact"),
    ],
)
def test_each_host_is_left_out_for_a_reason(host: Host | None, code: str) -> None:
    assert why_not(host, a_rollout()) == code


def test_who_runs_a_release_is_known_by_its_digest() -> None:
    assert runs(with_running(digest=NEW), a_rollout())
    assert not runs(a_host(0), a_rollout())
    assert not runs(a_host(0, architecture="riscv64"), a_rollout())


@pytest.mark.parametrize(
    ("version", "controlplane", "fits"),
    [
        ("0.2.0", "0.2.5", True),
        ("0.3.0", "0.2.5", True),
        ("0.1.0", "0.2.5", True),
        ("0.4.0", "0.2.5", False),
        ("0.1.0", "0.3.0", False),
        ("1.0.0", "0.9.0", True),
        ("1.1.0", "0.9.0", False),
        ("2.0.0", "0.9.0", False),
        ("0.2.0", "0", True),
        ("0.2", "0.2.0", False),
        ("0.3.0rc1", "0.2.0", True),
    ],
)
def test_releases_fit_from_one_minor_before_to_one_after(version: str, controlplane: str, fits: bool) -> None:
    assert (skews(version, controlplane) == "") is fits


def test_versions_have_an_order() -> None:
    said = ["0.9.9", "1.0.0a1", "1.0.0b1", "1.0.0rc1", "1.0.0rc2", "1.0.0", "1.0.1", "1.2.0", "1.10.0"]
    assert sorted(said, key=lambda text: parse_version(text) or ()) == said
    assert parse_version("1.0") is None


@given(st.lists(st.sets(st.sampled_from(GROUPS), min_size=1, max_size=4), min_size=1, max_size=60), st.integers(1, 3))
def test_canaries_cover_every_group_and_waves_hold_everybody(groups: list[set[str]], per_group: int) -> None:
    hosts = [a_host(number, groups=tuple(sorted(each))) for number, each in enumerate(groups)]
    policy = RolloutPolicy(waves=(0.1, 0.5, 1.0), canaries_per_group=per_group)
    rows = draft(a_rollout(policy), hosts)
    assert sorted(row.agent_id for row in rows) == sorted(host.agent_id for host in hosts)
    for group in GROUPS:
        having = sum(1 for each in groups if group in each)
        canaries = sum(1 for row in rows if row.wave == 0 and group in row.groups)
        assert canaries >= min(per_group, having)
    canaries = sum(1 for row in rows if row.wave == 0)
    assert canaries <= per_group * len(set().union(*groups))
    assert {row.wave for row in rows} <= {0, 1, 2, 3}
    for wave, share in ((1, 0.1), (2, 0.5)):
        reached = sum(1 for row in rows if row.wave <= wave)
        assert reached <= max(canaries, share * len(hosts) + 1)
    assert draft(a_rollout(policy), hosts[::-1]) == rows


def test_canaries_are_taken_from_those_who_can_show_something() -> None:
    hosts = [with_running(0, digest=NEW), a_host(1, connected=False), with_running(2, pin="0.1.0"), a_host(3)]
    rows = draft(a_rollout(), hosts)
    assert [row.agent_id for row in rows if row.wave == 0] == ["ag_3"]


DAY, HOUR = 86_400.0, 3600.0


@pytest.mark.parametrize(
    ("window", "now", "offset_s", "expected"),
    [
        (Window(("thu",), 60, 120), 90 * 60.0, 0.0, True),
        (Window(("thu",), 60, 120), 120 * 60.0, 0.0, False),
        (Window(("thu",), 60, 120), 90 * 60.0 + DAY, 0.0, False),
        (Window(("fri",), 60, 120), 90 * 60.0, DAY, True),
        (Window(("thu",), 22 * 60, 4 * 60), 23 * HOUR, 0.0, True),
        (Window(("thu",), 22 * 60, 4 * 60), 3 * HOUR + DAY, 0.0, True),
        (Window(("thu",), 22 * 60, 4 * 60), 3 * HOUR, 0.0, False),
        (Window(("thu",), 22 * 60, 4 * 60), 23 * HOUR + DAY, 0.0, False),
        (Window(("wed",), 22 * 60, 4 * 60), 3 * HOUR, 0.0, True),
        (Window(("thu",), 0, 60), 30 * 60.0, -HOUR, False),
    ],
)
def test_windows_open_by_the_hosts_own_week(window: Window, now: float, offset_s: float, expected: bool) -> None:
    assert is_open([window], now, offset_s) is expected
    assert is_open([], now, offset_s)


def test_what_no_table_lists_is_invalid() -> None:
    assert rollout_after(None, "RolloutProposed") is RolloutState.PROPOSED
    with pytest.raises(InvalidTransition, match="a rollout that is succeeded cannot meet RolloutPaused"):
        rollout_after(RolloutState.SUCCEEDED, "RolloutPaused")
