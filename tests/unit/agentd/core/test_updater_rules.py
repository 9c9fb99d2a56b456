"""The updater's decisions: one story at a time, then any order of events with a crash after each."""

from dataclasses import replace
from typing import Any

import pytest

from agentd.core import updater_rules
from agentd.core.release_state import (
    Before,
    Ending,
    Phase,
    Release,
    Request,
    SelfTest,
    UndecodableState,
    UpdaterState,
    request_from_text,
    request_to_text,
    self_test_from_text,
    state_from_text,
    state_to_text,
)
from agentd.core.updater_rules import Contact, Evidence, NothingToGoBackTo, Unit

OLDER, OLD, NEW = Release("0.0.9", "e" * 64), Release("0.1.0", "a" * 64), Release("0.2.0", "b" * 64)
REQUEST = Request("req_1", "roll_1", NEW, "haulier-agentd-0.2.0-x86_64.tar.zst", 600.0)
IDLE = UpdaterState(current=OLD, previous=OLDER)
GOOD = SelfTest(True, cpu_s=2.0, wall_s=3.0, rss_bytes=200_000_000)
BEFORE = Before(True, 60_000_000, GOOD)
WELL = Evidence(
    Unit.RUNNING, NEW.digest, incarnation=8, up_s=200.0, connected_s=60.0, rss_bytes=60_000_000, tested=GOOD
)
BOOT = "boot-1"
DOWN = Evidence(Unit.RUNNING)


def on_probation(before: Before = BEFORE, request: Request = REQUEST) -> UpdaterState:
    state, wanted = updater_rules.consider(IDLE, request)
    assert wanted
    return updater_rules.restarted(switching(state, before, request), BOOT, 1000.0)


def switching(
    state: UpdaterState, before: Before = BEFORE, request: Request = REQUEST, at: float = 900.0
) -> UpdaterState:
    return updater_rules.switch_begun(updater_rules.staged(state, request), before, BOOT, at)


def looked(state: UpdaterState, seen: Evidence, at: float = 1200.0, boot: str = BOOT) -> UpdaterState:
    return updater_rules.looked(state, seen, boot, at)


def code(state: UpdaterState) -> str:
    assert state.last is not None
    return state.last.code


def test_a_good_release_is_kept() -> None:
    state = on_probation()
    assert updater_rules.links(state) == (NEW, OLD)
    assert updater_rules.wants_test(state)
    kept = looked(state, WELL)
    assert (kept.phase, kept.current, kept.previous, kept.probation, kept.wanted) == (Phase.IDLE, NEW, OLD, None, None)
    assert kept.last is not None and kept.last.ending is Ending.KEPT
    assert (kept.last.rollout_id, kept.last.digest) == ("roll_1", NEW.digest)
    assert kept.tested == GOOD
    assert updater_rules.consider(kept, REQUEST) == (kept, False)
    assert not updater_rules.wants_test(kept)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"opted_out": True}, "opted_out"),
        ({"pin": "0.1.0"}, "pinned"),
        ({"failed": (NEW.digest,)}, "failed_before"),
    ],
)
def test_what_the_host_remembers_refuses(changes: dict[str, Any], expected: str) -> None:
    state, wanted = updater_rules.consider(replace(IDLE, **changes), REQUEST)
    assert not wanted
    assert state.last is not None
    assert (state.last.ending, state.last.code) == (Ending.REFUSED, expected)
    assert updater_rules.links(state) == updater_rules.links(IDLE)
    # An owner may change pin and opt-out, and then the same request counts; a failed release stays refused.
    _, wanted = updater_rules.consider(replace(state, pin="", opted_out=False), REQUEST)
    assert wanted is (expected != "failed_before")
    assert updater_rules.consider(state, REQUEST) == (state, False)


@pytest.mark.parametrize("pin", [NEW.version, NEW.digest])
def test_a_pin_lets_its_own_release_in(pin: str) -> None:
    assert updater_rules.consider(replace(IDLE, pin=pin), REQUEST)[1]


def test_the_release_that_runs_is_kept_already() -> None:
    state, wanted = updater_rules.consider(replace(IDLE, failed=(OLD.digest,)), replace(REQUEST, release=OLD))
    assert not wanted
    assert state.last is not None and state.last.ending is Ending.KEPT
    first = updater_rules.consider(UpdaterState(), REQUEST)
    assert first == (UpdaterState(), True), "a host without any release takes one"


def test_a_hold_is_tried_again_and_forgotten_with_its_request() -> None:
    held = updater_rules.held(IDLE, REQUEST, "disk_full", "no room")
    assert updater_rules.consider(held, REQUEST) == (held, True)
    forgotten, wanted = updater_rules.consider(held, None)
    assert (forgotten.last, wanted) == (None, False)
    refused = updater_rules.refused(IDLE, REQUEST, "bad_signature", "not signed")
    assert updater_rules.consider(refused, None) == (refused, False)
    assert updater_rules.consider(refused, REQUEST) == (refused, False)
    assert updater_rules.consider(refused, replace(REQUEST, request_id="req_2"))[1]


def test_a_request_can_be_taken_back_until_the_switch() -> None:
    staged = updater_rules.staged(IDLE, REQUEST)
    assert updater_rules.consider(staged, REQUEST) == (staged, True)
    back, wanted = updater_rules.consider(staged, None)
    assert (back, wanted) == (IDLE, False)
    other = replace(REQUEST, request_id="req_2", release=Release("0.3.0", "c" * 64))
    assert updater_rules.consider(staged, other) == (IDLE, True)


def test_only_the_way_back_overtakes_a_probation() -> None:
    state = on_probation()
    other = replace(REQUEST, request_id="req_2", release=Release("0.3.0", "c" * 64))
    assert updater_rules.consider(state, other) == (state, False)
    assert updater_rules.consider(state, None) == (state, False)
    assert not updater_rules.is_step_back(IDLE, REQUEST)
    back, wanted = updater_rules.consider(state, replace(REQUEST, request_id="req_2", release=OLD))
    assert (back.phase, code(back), wanted, back.failed) == (Phase.RETURNING, "asked", False, ())
    assert updater_rules.consider(back, REQUEST) == (back, False)
    kept = looked(state, WELL)
    assert updater_rules.is_step_back(kept, replace(REQUEST, request_id="req_3", release=OLD))


def test_a_hold_before_the_switch_keeps_what_is_staged() -> None:
    staged = updater_rules.staged(IDLE, REQUEST)
    held = updater_rules.held(staged, REQUEST, "disk_full", "no room for a copy of the journal")
    assert held.phase is Phase.STAGED
    assert updater_rules.switch_begun(held, BEFORE, BOOT, 1.0).last is None


def assert_back(state: UpdaterState, expected: str) -> None:
    assert (state.phase, code(state)) == (Phase.RETURNING, expected)
    assert updater_rules.links(state) == (OLD, OLDER)
    assert state.failed == (NEW.digest,)
    ended = updater_rules.returned(state)
    assert (ended.phase, ended.probation, ended.wanted) == (Phase.IDLE, None, None)
    assert ended.last is not None
    assert (ended.last.ending, ended.last.digest) == (Ending.ROLLED_BACK, NEW.digest)
    assert updater_rules.consider(ended, REQUEST) == (ended, False)
    assert code(updater_rules.consider(ended, replace(REQUEST, request_id="req_9"))[0]) == "failed_before"


@pytest.mark.parametrize("began", [True, False])
def test_rescue_goes_back_while_it_can(began: bool) -> None:
    state = on_probation() if began else replace(on_probation(), phase=Phase.SWITCHING)
    assert_back(updater_rules.rescued(state), "crashed")
    assert updater_rules.rescued(IDLE) == IDLE
    back = updater_rules.rescued(state)
    assert updater_rules.rescued(back) == back


def test_a_release_that_is_given_up_goes_back_at_once() -> None:
    assert_back(looked(on_probation(), Evidence(Unit.FAILED), 1001.0), "crashed")


def test_a_full_disk_is_not_the_release_s_fault() -> None:
    state = looked(on_probation(), Evidence(Unit.FAILED, disk_full=True), 9000.0)
    assert state.phase is Phase.PROBATION and state.probation is not None
    assert state.probation.held_code == "disk_full"
    full = SelfTest(False, ("migrate csv",), "disk_full", "no space left")
    state = looked(state, replace(WELL, tested=full), 9100.0)
    assert state.probation is not None
    assert (state.phase, state.probation.held_code, state.probation.tests) == (Phase.PROBATION, "disk_full", 0)
    kept = looked(state, WELL, 9200.0)
    assert kept.last is not None and kept.last.ending is Ending.KEPT


def test_a_stopped_agent_waits_for_whoever_stopped_it() -> None:
    state = looked(on_probation(), Evidence(Unit.STOPPED, tested=GOOD), 9000.0)
    assert state.probation is not None and state.probation.held_code == "agent_stopped"


def test_restarts_are_counted() -> None:
    state = looked(on_probation(), replace(WELL, up_s=1.0), 1001.0)
    for number in (1, 2):
        state = looked(state, replace(WELL, up_s=1.0, incarnation=8 + number), 1001.0 + number)
        assert state.phase is Phase.PROBATION
    assert_back(looked(state, replace(WELL, up_s=1.0, incarnation=11), 1004.0), "crashed")


def test_a_reboot_is_a_try_and_no_time() -> None:
    state = looked(on_probation(), replace(WELL, up_s=1.0), 1001.0)
    state = looked(state, DOWN, 5.0, "boot-2")
    assert state.phase is Phase.PROBATION and state.probation is not None
    assert (state.probation.boots, state.probation.began_at) == (1, 5.0)
    state = looked(state, DOWN, 9.0, "boot-3")
    assert_back(looked(state, DOWN, 7.0, "boot-4"), "crashed")


def test_time_begins_when_the_new_agent_was_started_however_slow_the_old_one_was_to_stop() -> None:
    short = replace(REQUEST, probation_s=20.0)
    state = updater_rules.restarted(switching(IDLE, request=short, at=1000.0), BOOT, 1110.0)
    seen = replace(WELL, up_s=1.0, connected_s=31.0)
    state = looked(state, seen, 1111.0)
    assert state.phase is Phase.PROBATION, "its time is not over, and neither is it kept"
    assert looked(state, replace(seen, up_s=9.9), 1119.9).phase is Phase.PROBATION
    kept = looked(state, replace(seen, up_s=10.0), 1120.0)
    assert (kept.phase, kept.current) == (Phase.IDLE, NEW)
    assert looked(state, replace(seen, up_s=9.9), 1130.0).phase is Phase.PROBATION


def test_a_switch_that_was_cut_off_is_done_again_and_its_reboot_counts() -> None:
    begun = state_from_text(state_to_text(switching(IDLE)))
    assert updater_rules.links(begun) == (NEW, OLD)
    again = updater_rules.restarted(begun, "boot-2", 5.0)
    assert again.probation is not None
    assert (again.probation.boot_id, again.probation.began_at, again.probation.boots) == ("boot-2", 5.0, 1)
    assert looked(again, WELL, 130.0, "boot-2").phase is Phase.IDLE
    assert_back(updater_rules.rescued(begun), "crashed")


@pytest.mark.parametrize(("unit", "expected"), [(Unit.RUNNING, "hung"), (Unit.UNKNOWN, "crashed")])
def test_silence_goes_back_in_time_without_network(unit: Unit, expected: str) -> None:
    waiting = looked(on_probation(), Evidence(unit, tested=GOOD), 1599.0)
    assert waiting.phase is Phase.PROBATION
    assert_back(looked(waiting, Evidence(unit), 1600.0), expected)


def test_another_release_that_answers_is_not_the_new_one() -> None:
    state = looked(on_probation(), replace(WELL, answering=OLD.digest), 1200.0)
    assert state.phase is Phase.PROBATION
    assert_back(looked(state, replace(WELL, answering=OLD.digest), 1600.0), "hung")


def test_one_failed_self_test_may_be_bad_luck_and_two_are_not() -> None:
    broken = SelfTest(False, ("migrate duckdb",), detail="a row is missing")
    state = looked(on_probation(), replace(WELL, tested=broken))
    assert state.phase is Phase.PROBATION
    assert looked(state, WELL).phase is Phase.IDLE
    back = looked(state, replace(WELL, tested=broken))
    assert_back(back, "selftest_failed")
    assert back.last is not None and "migrate duckdb" in back.last.message
    assert_back(looked(state, replace(WELL, tested=None), 1600.0), "selftest_failed")


def test_what_fails_for_both_releases_is_the_host_s_trouble() -> None:
    broken = SelfTest(False, ("migrate duckdb",), detail="no such library")
    state = looked(on_probation(), replace(WELL, tested=broken, old_tested=broken))
    assert state.phase is Phase.IDLE
    fence = SelfTest(False, ("fence",), detail="a stale writer was let in")
    state = looked(on_probation(), replace(WELL, tested=fence, old_tested=fence))
    assert_back(looked(state, replace(WELL, tested=fence, old_tested=fence)), "selftest_failed")
    blind = on_probation(replace(BEFORE, tested=None))
    assert updater_rules.new_failures(blind.probation) == () if blind.probation else False
    state = looked(blind, replace(WELL, tested=broken))
    assert_back(looked(state, replace(WELL, tested=broken)), "selftest_failed")


def test_a_self_test_that_never_ends_is_none() -> None:
    assert_back(looked(on_probation(), replace(WELL, tested=None), 1600.0), "probation_timeout")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rss_bytes": 300_000_000}, "memory"),
        ({"tested": replace(GOOD, rss_bytes=600_000_000)}, "memory"),
        ({"tested": replace(GOOD, cpu_s=13.0)}, "slow"),
        ({"tested": replace(GOOD, wall_s=40.0)}, "slow"),
    ],
)
def test_a_release_that_costs_too_much_goes_back(changes: dict[str, Any], expected: str) -> None:
    assert_back(looked(on_probation(), replace(WELL, **changes)), expected)


def test_a_leak_shows_within_the_probation() -> None:
    early = replace(WELL, up_s=1.0)
    state = looked(on_probation(), early, 1001.0)
    state = looked(state, replace(early, rss_bytes=100_000_000), 1010.0)
    assert state.phase is Phase.PROBATION
    assert_back(looked(state, replace(early, rss_bytes=145_000_000), 1020.0), "memory")


def test_without_figures_of_the_old_release_nothing_is_compared() -> None:
    state = on_probation(Before(True))
    assert looked(state, replace(WELL, rss_bytes=10**9, tested=replace(GOOD, cpu_s=99.0))).phase is Phase.IDLE


def test_up_for_long_enough() -> None:
    state = looked(on_probation(), replace(WELL, up_s=119.0), 1120.0)
    assert state.phase is Phase.PROBATION
    assert looked(state, replace(WELL, up_s=120.0), 1121.0).phase is Phase.IDLE
    short = on_probation(request=replace(REQUEST, probation_s=10.0))
    assert looked(short, replace(WELL, up_s=5.0), 1006.0).phase is Phase.IDLE


def test_a_daemon_started_again_near_the_end_is_given_the_time_that_it_needs() -> None:
    again = replace(WELL, incarnation=WELL.incarnation + 1, up_s=3.0)
    state = looked(looked(on_probation(), replace(WELL, up_s=1.0), 1001.0), again, 1600.0)
    assert state.phase is Phase.PROBATION and state.probation is not None
    assert state.probation.held_code == "started_lately"
    assert looked(state, replace(again, up_s=120.0), 1717.0).phase is Phase.IDLE
    restless = replace(again, incarnation=WELL.incarnation + updater_rules.RESTARTS_MAX)
    assert_back(looked(state, restless, 1717.0), "crashed")


@pytest.mark.parametrize(
    ("contact", "expected"),
    [
        (Contact.AWAY, "control_plane_away"),
        (Contact.BUSY, "control_plane_busy"),
        (Contact.EXPIRED, "certificate_expired"),
        (Contact.UNKNOWN, "control_plane_unknown"),
        (None, "control_plane_unknown"),
    ],
)
def test_bad_weather_holds_for_ever_and_never_goes_back(contact: Contact | None, expected: str) -> None:
    state = on_probation()
    for at in (1700.0, 90_000.0, 900_000.0):
        state = looked(state, replace(WELL, connected_s=0.0, contact=contact), at)
        assert state.phase is Phase.PROBATION and state.probation is not None
        assert state.probation.held_code == expected
    kept = looked(state, WELL, 900_001.0)
    assert kept.last is not None and kept.last.ending is Ending.KEPT


def test_no_session_beside_a_control_plane_that_is_well_goes_back() -> None:
    answers = replace(WELL, connected_s=0.0, contact=Contact.ANSWERS)
    state = looked(on_probation(), answers, 1400.0)
    state = looked(state, replace(answers, contact=Contact.BUSY), 1410.0)
    for at in (1420.0, 1700.0):
        state = looked(state, answers, at)
        assert state.phase is Phase.PROBATION, "only several good answers in a row count"
    assert_back(looked(state, answers, 1710.0), "no_session")


def test_a_session_that_does_not_last_is_none() -> None:
    state = looked(on_probation(), replace(WELL, connected_s=3.0))
    assert state.probation is not None and state.probation.held_code == "no_session"
    assert looked(state, WELL).phase is Phase.IDLE


def test_whoever_was_offline_before_is_judged_by_the_self_test_alone() -> None:
    state = on_probation(replace(BEFORE, connected=False))
    assert looked(state, replace(WELL, connected_s=0.0)).phase is Phase.IDLE
    assert not updater_rules.wants_contact(state, False, 5000.0)


def test_the_control_plane_is_asked_only_when_it_matters() -> None:
    state = on_probation()
    assert not updater_rules.wants_contact(state, False, 1299.0)
    assert updater_rules.wants_contact(state, False, 1300.0)
    assert not updater_rules.wants_contact(state, True, 1300.0)
    assert not updater_rules.wants_contact(IDLE, False, 1300.0)


def test_the_owner_may_go_back() -> None:
    for state in (on_probation(), replace(on_probation(), phase=Phase.SWITCHING)):
        assert_back(updater_rules.back_asked(state), "asked_on_host")
    back = updater_rules.back_asked(IDLE)
    assert updater_rules.links(back) == (OLDER, None)
    assert back.failed == (OLD.digest,)
    assert updater_rules.back_asked(back) == back
    ended = updater_rules.returned(back)
    with pytest.raises(NothingToGoBackTo):
        updater_rules.back_asked(ended)


def test_a_hold_ends_when_its_cause_does() -> None:
    state = looked(on_probation(), replace(WELL, connected_s=0.0, contact=Contact.AWAY), 1700.0)
    state = looked(state, replace(WELL, up_s=1.0), 1550.0)
    assert state.probation is not None and (state.phase, state.probation.held_code) == (Phase.PROBATION, "")


@pytest.mark.parametrize(
    "state", [UpdaterState(), IDLE, on_probation(), looked(on_probation(), WELL), replace(IDLE, pin="x")]
)
def test_a_state_survives_its_text(state: UpdaterState) -> None:
    assert state_from_text(state_to_text(state)) == state


def test_texts_of_others_are_read_or_refused() -> None:
    assert request_from_text(request_to_text(REQUEST)) == REQUEST
    assert state_from_text('{"phase": "idle", "unheard_of": 1}') == UpdaterState()
    tested = looked(on_probation(), replace(WELL, up_s=0.0, tested=GOOD))
    assert state_from_text(state_to_text(tested)) == tested
    assert self_test_from_text('{"passed": true}') == SelfTest(True)
    for text in ("", "[]", "{", '{"phase": "flying"}', '{"wanted": {"request_id": "x", "release": null}}'):
        with pytest.raises(UndecodableState):
            state_from_text(text)
    for text in ("null", "[]", "{}"):
        with pytest.raises(UndecodableState):
            request_from_text(text)
    with pytest.raises(UndecodableState):
        self_test_from_text("{}")
