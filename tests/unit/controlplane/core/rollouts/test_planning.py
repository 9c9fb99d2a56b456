"""Rollouts looked at step by step: waves, limits, halting, and every word of a person."""

import pytest

from controlplane.core.rollouts.model import HostState, Order, RolloutPolicy, RolloutState, StepCounts
from controlplane.core.rollouts.windows import Window
from tests.unit.controlplane.core.rollouts.story import (
    NEW,
    OLD,
    OLD_PATH,
    PATH,
    SMALL,
    Story,
    a_host,
    story,
    the_canary,
    with_canary,
)

H, R = HostState, RolloutState

# ---- Waves


def test_a_good_release_reaches_every_host_wave_by_wave() -> None:
    told = story()
    asked: list[int] = []
    for _ in range(40):
        told.look(20.0)
        asked.append(sum(1 for row in told.rows.values() if row.asked_at is not None))
        told.obey()
    assert (told.state, told.states()) == ("succeeded", {"kept": 10})
    assert [each for index, each in enumerate(asked) if each not in asked[:index]] == [1, 5, 9, 10]
    passed = [detail for type_, _, detail in told.events if type_ == "WavePassed"]
    assert passed[0] == "wave 0: 1 kept, 9 waiting"
    assert told.events[-1][0] == "RolloutSucceeded"


def test_what_a_host_is_asked_names_its_artefact() -> None:
    told, canary = with_canary()
    assert told.orders == [Order(canary, "0.2.0", NEW, PATH)]
    row = told.rows[canary]
    assert (row.from_version, row.from_digest, row.state) == ("0.1.0", OLD, H.ASKED)


def test_a_wave_soaks_before_the_next_begins() -> None:
    told, canary = with_canary()
    told.says(canary, "kept")
    assert told.look(1.0) == []
    assert told.look(59.0) == []
    assert len(told.look(1.0)) == 4


def test_at_most_so_many_are_in_flight() -> None:
    told, canary = with_canary(40)
    told.says(canary, "kept")
    told.look(1.0)
    assert len(told.look(60.0)) == 4
    assert told.look(1.0) == []
    told.says(told.in_state(H.ASKED)[0], "kept")
    assert len(told.look(1.0)) == 1


def test_states_follow_what_the_host_says() -> None:
    told, canary = with_canary()
    for state, digest in (
        ("fetching", OLD),
        ("held", OLD),
        ("staged", OLD),
        ("probation", NEW),
        ("held", NEW),
        ("probation", NEW),
        ("kept", NEW),
    ):
        told.says(canary, state, digest, cause_code="x")
        told.look(1.0)
        assert told.rows[canary].state == ("undecided" if (state, digest) == ("held", NEW) else state)
    assert [type_ for type_, _, _ in told.events] == [
        "UpgradeAsked",
        "UpgradeHeld",
        "UpgradeSwitched",
        "UpgradeUndecided",
        "UpgradeSwitched",
        "UpgradeKept",
    ]


def test_who_runs_it_already_is_not_asked() -> None:
    hosts = [a_host(0), a_host(1, running=a_host(1).running._replace(digest=NEW, version="0.2.0"))]
    told = Story(hosts, SMALL)
    told.go_on()
    assert told.state == "succeeded"
    assert [order.agent_id for order in told.orders] == ["ag_0"]
    assert told.rows["ag_1"].cause_code == "already"


def test_who_was_away_joins_late_even_after_the_end() -> None:
    hosts = [a_host(number, connected=number != 9) for number in range(10)]
    told = Story(hosts, SMALL)
    told.go_on()
    assert (told.state, told.states()) == ("succeeded", {"kept": 9, "waiting": 1})
    told.hosts["ag_9"] = a_host(9)
    assert [order.agent_id for order in told.look(1.0)] == ["ag_9"]
    told.obey()
    told.look(1.0)
    assert (told.states(), told.rows["ag_9"].wave) == ({"kept": 10}, 2)


def test_hosts_wait_for_their_own_window() -> None:
    # 1_000_000 s is Monday, 12 January 1970, 13:46 UTC.
    policy = RolloutPolicy(waves=(1.0,), soak_s=1.0, windows=(Window(("mon",), 20 * 60, 22 * 60),))
    hosts = [a_host(0), a_host(1, utc_offset_s=7 * 3600.0)]
    told = Story(hosts, policy)
    told.go_on(looks=20, healthy_s=10.0)
    done = [agent_id for agent_id in ("ag_0", "ag_1") if told.rows[agent_id].state is H.KEPT]
    assert (done, told.state) == (["ag_1"] if told.rows["ag_1"].wave == 0 else [], "running")
    told.look(7 * 3600.0)
    told.go_on(looks=20, healthy_s=10.0)
    assert (told.rows["ag_0"].state, told.state in ("running", "succeeded")) == (H.KEPT, True)


@pytest.mark.parametrize("will", ["pinned", "opted_out"])
def test_what_its_owner_wants_is_counted_and_is_no_failure(will: str) -> None:
    told = story()
    told.go_on(looks=3)
    row = told.in_state(H.ASKED) or told.in_state(H.KEPT)
    agent_id = row[-1]
    told.rows[agent_id] = told.rows[agent_id]._replace(state=H.ASKED)
    told.says(agent_id, "refused", OLD, cause_code=will, cause="as its owner said")
    told.look(1.0)
    assert (told.rows[agent_id].state, told.rows[agent_id].cause_code) == (H.WAITING, will)
    told.look(1.0)
    assert told.rows[agent_id].state is H.WAITING, "it is not asked again while it says so"
    for _ in range(60):
        told.look(100.0)
        for each in told.in_state(H.ASKED):
            told.says(each, "kept")
    assert (told.state, told.states()) == ("succeeded", {"kept": 9, "waiting": 1})


# ---- Halting


@pytest.mark.parametrize(
    ("state", "code"),
    [("rolled_back", "crashed"), ("rolled_back", ""), ("refused", "damaged"), ("refused", "downgrade")],
)
def test_a_canary_that_fails_halts_it_with_the_cause(state: str, code: str) -> None:
    told, canary = with_canary()
    told.says(canary, state, OLD, cause_code=code, cause="it did not stay up", failed_digests=(NEW,))
    told.look(1.0)
    assert (told.rollout.halt_code, told.rollout.halted_wave) == ("hosts_failed", 0)
    assert f"1 of 1 hosts failed (1 {code or state})" in told.rollout.halt_cause
    assert "it did not stay up" in told.rollout.halt_cause
    told.go_on(looks=5)
    # Nobody runs it, so going back has nothing to do.
    assert (told.state, told.states()) == ("rolled_back", {"failed": 1, "waiting": 9})
    assert len(told.orders) == 1


def test_a_share_of_failures_or_a_number_of_them_halts_it() -> None:
    policy = RolloutPolicy(waves=(1.0,), soak_s=1.0, in_flight_max=200, failures_max=3, failed_share_max=0.02)
    told = story(200, policy)
    told.look()
    told.obey()
    for _ in range(3):
        told.look(1.0)
    asked = told.in_state(H.ASKED)
    assert len(asked) == 199
    for number, agent_id in enumerate(asked[:3]):
        assert told.state == "running", number
        told.says(agent_id, "rolled_back", OLD, cause_code="crashed")
        told.look(1.0)
    assert told.rollout.halt_code == "hosts_failed"


def test_a_missing_host_is_a_failure_after_a_bound_of_healthy_time() -> None:
    told, canary = with_canary()
    told.silent(canary)
    told.look(500.0)
    assert told.rows[canary].state is H.ASKED
    told.look(600.0)
    assert told.rows[canary].state is H.ASKED
    told.look(1.0)
    assert (told.rows[canary].state, told.rows[canary].cause_code) == (H.FAILED, "missing")


def test_a_host_that_comes_back_in_time_is_not_missing() -> None:
    told, canary = with_canary()
    told.silent(canary)
    told.look(1.0)
    told.hosts[canary] = told.hosts[canary]._replace(connected=True)
    told.look(500.0)
    assert told.rows[canary].away_healthy_s is None
    told.silent(canary)
    told.look(500.0)
    assert told.rows[canary].state is H.ASKED


@pytest.mark.parametrize(("state", "longest_s"), [("probation", 1200.0), ("fetching", 3600.0)])
def test_a_host_that_takes_too_long_is_a_failure(state: str, longest_s: float) -> None:
    told, canary = with_canary()
    told.says(canary, state, NEW if state == "probation" else OLD)
    told.look(1.0)
    told.look(longest_s)
    assert told.rows[canary].state == state
    told.look(1.0)
    # One that has switched is asked to go back at once.
    back = H.RETURNING if state == "probation" else H.FAILED
    assert (told.rows[canary].state, told.rows[canary].cause_code) == (back, "overdue")


def test_held_hosts_are_no_failures_but_canaries_that_stay_held_halt_it() -> None:
    told, canary = with_canary()
    told.says(canary, "held", OLD, cause_code="disk_full", cause="12 MB are missing")
    told.look(1.0)
    told.silent(canary)
    told.look(1800.0)
    told.hosts[canary] = told.hosts[canary]._replace(connected=True)
    told.look(1800.0)
    assert told.state == "running"
    told.look(1.0)
    assert (told.state, told.rollout.halt_code) == ("halted", "held")
    assert "1 of 1 canaries are held: disk_full; 12 MB are missing" in told.rollout.halt_cause
    assert told.orders == told.orders[:1], "nobody is asked to go back for that"
    # A person makes room, goes on, and has as long again for it to be noticed.
    told.steer("RolloutResumed")
    told.look(3600.0)
    assert told.state == "running"
    told.obey()
    told.go_on()
    assert told.state == "succeeded"


def test_an_undecided_canary_is_waited_for_halts_it_in_the_end_and_can_go_back() -> None:
    told, canary = with_canary()
    told.says(canary, "held", cause_code="control_plane_busy")
    told.look(1.0)
    told.look(3600.0)
    assert (told.state, told.rows[canary].state) == ("running", H.UNDECIDED)
    told.look(1.0)
    assert told.rollout.halt_code == "held"
    assert told.steer("RolloutRollbackAsked") == [], "it has switched: there is nothing to take back"
    assert told.look(1.0) == [Order(canary, "0.1.0", OLD, OLD_PATH)]
    told.says(canary, "held", OLD, wanted_digest=OLD)
    told.look(1.0)
    assert (told.state, told.rows[canary].state) == ("rolled_back", H.RETURNED)


def test_held_hosts_of_later_waves_are_set_aside() -> None:
    told, canary = with_canary()
    told.says(canary, "kept")
    told.look(1.0)
    told.look(60.0)
    first = told.in_state(H.ASKED)[0]
    for _ in range(100):
        told.look(100.0)
        told.obey()
        if told.rows[first].state is not H.KEPT:
            told.says(first, "held", OLD, cause_code="disk_full")
    assert (told.state, told.states()) == ("succeeded", {"kept": 9, "held": 1})


def test_canaries_that_cannot_be_asked_halt_it() -> None:
    told = story()
    canary = the_canary(told)
    told.silent(canary)
    told.look(3600.0)
    assert told.state == "running"
    told.look(1.0)
    assert (told.state, told.rollout.halt_code) == ("halted", "no_canary")
    assert "1 away" in told.rollout.halt_cause
    gone = story()
    del gone.hosts[the_canary(gone)]
    gone.look(3601.0)
    assert "1 gone" in gone.rollout.halt_cause


def test_a_canary_whose_window_is_closed_is_waited_for() -> None:
    policy = RolloutPolicy(windows=(Window(("sun",), 0, 60),))
    told = story(3, policy)
    told.look(100_000.0)
    assert (told.state, told.orders) == ("running", [])


def test_errors_of_steps_on_it_halt_it_and_bring_everybody_back() -> None:
    told, canary = with_canary()
    told.says(canary, "kept")
    told.look(1.0)
    told.rows[canary] = told.rows[canary]._replace(past=StepCounts(1000, 5), after=StepCounts(6, 5))
    orders = told.look(1.0)
    assert (told.state, told.rollout.halt_code) == ("rolling_back", "step_errors")
    assert "5 of 6 steps failed on it, 5 of 1000 before" in told.rollout.halt_cause
    assert orders == [Order(canary, "0.1.0", OLD, OLD_PATH)]
    told.go_on(looks=3)
    assert (told.state, told.running(NEW), told.rollout.halt_code) == ("rolled_back", 0, "step_errors")


def test_without_going_back_a_halted_one_only_stops() -> None:
    told, canary = with_canary(policy=RolloutPolicy(return_on_halt=False))
    told.says(canary, "rolled_back", OLD, cause_code="hung")
    told.look(1.0)
    assert (told.state, told.look(1000.0)) == ("halted", [])


def test_an_agent_that_grows_or_is_started_again_and_again_halts_it() -> None:
    for rss_bytes, incarnation, code in ((300, 1, "memory"), (0, 4, "restarting")):
        told, canary = with_canary(policy=RolloutPolicy(memory_bytes_max=200))
        told.says(canary, "kept")
        told.look(1.0)
        told.silent(canary)
        told.look(1.0)
        told.hosts[canary] = told.hosts[canary]._replace(
            connected=True, agent_rss_bytes=rss_bytes, incarnation=incarnation
        )
        told.look(1.0)
        assert (told.rollout.halt_code, told.rows[canary].cause_code) == ("hosts_failed", code)
        told.go_on(looks=3)
        assert (told.state, told.running(NEW)) == ("rolled_back", 0)


def test_what_failed_stays_a_failure_whatever_the_host_says_later() -> None:
    told, canary = with_canary(policy=RolloutPolicy(return_on_halt=False, missing_after_s=10.0))
    told.silent(canary)
    told.look(1.0)
    told.look(11.0)
    told.hosts[canary] = told.hosts[canary]._replace(connected=True)
    for state in ("probation", "kept"):
        told.says(canary, state)
        told.look(1.0)
        assert (told.rows[canary].state, told.rows[canary].cause_code) == (H.FAILED, "missing")


def test_a_host_that_says_nothing_new_of_its_upgrade_is_where_it_was() -> None:
    told, canary = with_canary()
    told.says(canary, "kept", OLD)
    told.look(1.0)
    assert told.rows[canary].state is H.ASKED


def test_what_was_kept_is_not_on_its_way_again() -> None:
    told, canary = with_canary()
    told.says(canary, "kept")
    told.look(1.0)
    for state, digest in (("held", NEW), ("fetching", OLD)):
        told.says(canary, state, digest)
        told.look(1.0)
        assert told.rows[canary].state is H.KEPT


def test_a_canary_that_failed_and_is_tolerated_does_not_pass_for_a_good_one() -> None:
    told, canary = with_canary(policy=RolloutPolicy(failures_max=3, failed_share_max=1.0, held_max_s=60.0))
    told.says(canary, "rolled_back", OLD, cause_code="crashed", failed_digests=(NEW,))
    assert told.look(1.0) == []
    assert told.look(30.0) == []
    told.look(60.0)
    assert (told.rollout.halt_code, told.rollout.halt_cause) == (
        "no_canary",
        "no canary could be asked for 60 s: 1 failed_before",
    )


def test_a_host_that_went_back_by_itself_after_it_was_kept_is_a_failure() -> None:
    told, canary = with_canary()
    told.says(canary, "kept")
    told.look(1.0)
    told.says(canary, "kept", OLD, rollout_id="", wanted_digest="")
    told.look(1.0)
    assert told.rows[canary].cause_code == "gone_back"


def test_a_late_failure_halts_what_has_succeeded_and_brings_nobody_back() -> None:
    hosts = [a_host(number, connected=number < 9) for number in range(10)]
    told = Story(hosts, RolloutPolicy(waves=(1.0,), soak_s=1.0))
    told.go_on()
    assert told.state == "succeeded"
    told.hosts["ag_9"] = a_host(9)
    told.look(1.0)
    told.says("ag_9", "rolled_back", OLD, cause_code="crashed")
    told.look(1.0)
    assert (told.state, told.running(NEW)) == ("halted", 9)
