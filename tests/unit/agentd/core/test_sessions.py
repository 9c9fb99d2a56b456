"""Dialling, welcomes, heartbeats, backoff, reload and stop."""

from dataclasses import replace

import pytest

from agentd.core import effects, events
from agentd.core.grants import HeldSummary, SessionId
from agentd.core.reconnecting import FIRST_S, GOOD_SESSION_S, MAX_S, REFUSED_S, wait_s
from agentd.core.sessions import RESEND_HEARTBEATS
from tests.unit.agentd.core.stories import CAPABILITIES, PROGRESS, Told, grant, none_of, only


def test_the_first_dial_is_at_once_and_says_who_we_are() -> None:
    told = Told(draining=True).started()
    dial = only(told.done, effects.OpenSession)
    assert dial.session == SessionId(3, 1)
    assert dial.identity.incarnation == 3
    assert dial.capabilities == CAPABILITIES
    assert dial.held == ()
    assert dial.draining


def test_nothing_is_due_while_a_dial_is_under_way() -> None:
    told = Told().started()
    assert told.agent.wake_at is None
    assert told.tell(events.Ticked(), 100.0) == []


def test_a_heartbeat_leaves_at_its_interval_and_names_what_is_held() -> None:
    told = Told().opened(heartbeat_s=15.0).running()
    assert told.agent.wake_at == 1015.0
    assert none_of(told.tell(events.Ticked(), 14.9), effects.SendReport)
    beat = only(told.tell(events.Ticked(), 0.1), effects.SendReport)
    assert beat.heartbeat
    assert beat.held == (HeldSummary("att_1", 7, 0),)
    assert told.agent.wake_at == 1030.0


def test_a_failed_dial_waits_longer_each_time() -> None:
    told = Told().started()
    waits = []
    for _ in range(10):
        told.closed(jitter=0.0)
        assert told.agent.wake_at is not None
        waits.append(told.agent.wake_at - told.now)
        told.now = told.agent.wake_at
        assert only(told.tell(events.Ticked()), effects.OpenSession)
    assert waits == sorted(waits)
    assert waits[0] == pytest.approx(FIRST_S / 2)
    assert waits[-1] == pytest.approx(MAX_S / 2)


def test_a_good_session_makes_the_next_dial_quick_again() -> None:
    told = Told().started()
    for _ in range(5):
        told.closed()
        told.tell(events.Ticked(), 10.0)
    told.opened()
    told.now += GOOD_SESSION_S
    told.closed()
    assert told.agent.wake_at == pytest.approx(told.now + FIRST_S / 2)


def test_a_session_that_breaks_at_once_does_not_reset_the_wait() -> None:
    told = Told().started()
    told.closed()
    told.tell(events.Ticked(), 1.0)
    told.opened()
    told.closed()
    assert told.agent.wake_at == pytest.approx(told.now + FIRST_S)


def test_a_refused_agent_waits_long() -> None:
    told = Told().started()
    told.closed(jitter=1.0, refused=True)
    assert told.agent.wake_at == pytest.approx(told.now + REFUSED_S)


def test_jitter_spreads_over_the_upper_half() -> None:
    assert wait_s(30, 0.0) == MAX_S / 2
    assert wait_s(30, 1.0) == MAX_S


def test_words_of_another_session_are_ignored() -> None:
    told = Told().opened()
    old = SessionId(2, 9)
    assert none_of(told.tell(events.LeaseGranted(old, grant())), effects.JournalIntent)
    assert told.tell(events.SessionOpened(old, 1.0, 1.0)) == []
    assert told.tell(events.SessionOpened(told.session, 1.0, 1.0)) == [], "opened already"
    assert told.tell(events.SessionClosed(old, "late", 0.5)) == []
    assert told.tell(events.ReportSent(old, 5, told.now)) == []
    told.running()
    assert told.tell(events.CancelAsked(old, "att_1", 7, "late")) == []
    assert told.renewed(5) == []


def test_a_welcome_is_answered_with_everything_unsaid() -> None:
    told = Told().opened().running()
    told.running(grant("att_2"))
    told.tell(events.ChildProgressed("att_2", PROGRESS))
    told.closed()
    told.ended()
    assert none_of(told.tell(events.OutcomeRecorded("att_1")), effects.SendReport), "nobody listens"
    assert none_of(told.tell(events.ChildProgressed("att_2", replace(PROGRESS, watermark=20))), effects.SendReport)
    dial = only(told.tell(events.Ticked(), 1.0), effects.OpenSession)
    assert dial.held == (HeldSummary("att_2", 7, 20),)
    told.opened()
    report = only(told.done, effects.SendReport)
    assert [outcome.attempt_id for outcome in report.results] == ["att_1"]
    assert [(each.attempt_id, each.started) for each in report.progress] == [("att_2", True)]
    assert report.heartbeat


def test_an_unacknowledged_result_is_said_again() -> None:
    told = Told().opened(heartbeat_s=10.0).running()
    told.ended()
    told.tell(events.OutcomeRecorded("att_1"))
    assert only(told.done, effects.SendReport).results
    assert not only(told.tell(events.Ticked(), 10.0), effects.SendReport).results
    later = only(told.tell(events.Ticked(), 10.0 * (RESEND_HEARTBEATS - 1)), effects.SendReport)
    assert [outcome.attempt_id for outcome in later.results] == ["att_1"]


def test_a_changed_configuration_opens_the_session_anew_at_once() -> None:
    told = Told().opened().running()
    told.now += 100.0
    new = replace(CAPABILITIES, slots=5)
    assert told.tell(events.ConfigReloaded(CAPABILITIES)) == [], "nothing changed"
    assert only(told.tell(events.ConfigReloaded(new)), effects.CloseSession).session == told.session
    told.closed()
    assert told.agent.wake_at == told.now
    dial = only(told.tell(events.Ticked()), effects.OpenSession)
    assert dial.capabilities == new
    assert dial.held == (HeldSummary("att_1", 7, 0),)


def test_a_changed_configuration_without_session_waits_for_the_next_dial() -> None:
    told = Told().started()
    told.closed()
    assert told.tell(events.ConfigReloaded(replace(CAPABILITIES, slots=5))) == []
    assert only(told.tell(events.Ticked(), 10.0), effects.OpenSession).capabilities.slots == 5


def test_more_slots_start_what_waited_for_one() -> None:
    told = Told(capabilities=replace(CAPABILITIES, slots=1)).opened().running()
    told.granted(grant("att_2"))
    assert none_of(told.tell(events.AttemptJournalled("att_2")), effects.StartChild)
    told.tell(events.ConfigReloaded(CAPABILITIES))
    assert only(told.done, effects.StartChild).grant.attempt_id == "att_2"


def test_drain_and_resume_are_remembered_and_said_in_the_next_hello() -> None:
    told = Told().opened()
    assert only(told.tell(events.DrainAsked("maintenance")), effects.MarkDraining).draining
    told.closed()
    assert only(told.tell(events.Ticked(), 1.0), effects.OpenSession).draining
    assert not only(told.tell(events.ResumeAsked()), effects.MarkDraining).draining
    assert not told.agent.draining


def test_an_idle_daemon_stops_at_once() -> None:
    told = Told().opened()
    assert only(told.tell(events.StopAsked(10.0)), effects.Finish)
    assert told.agent.finished
    assert told.agent.wake_at is None
    assert told.tell(events.Ticked()) == [], "nothing happens after the end"


def test_a_stop_waits_for_a_short_step_and_its_acknowledgement() -> None:
    told = Told().opened().running()
    assert none_of(told.tell(events.StopAsked(10.0)), effects.Finish)
    assert told.agent.wake_at == told.now + 10.0
    told.ended()
    told.tell(events.OutcomeRecorded("att_1"))
    assert none_of(told.done, effects.Finish)
    told.tell(events.ResultAcknowledged(told.session, "att_1"))
    assert only(told.done, effects.ForgetAttempt)
    assert only(told.done, effects.Finish)


def test_a_long_step_lives_on_when_the_daemon_stops() -> None:
    told = Told().opened().running()
    told.tell(events.StopAsked(10.0))
    done = told.tell(events.Ticked(), 10.0)
    assert only(done, effects.Finish)
    assert none_of(done, effects.StopChild)


def test_a_second_stop_does_not_wait() -> None:
    told = Told().opened().running()
    told.tell(events.StopAsked(3600.0))
    assert only(told.tell(events.StopAsked(3600.0)), effects.Finish)


def test_an_unknown_event_is_a_defect() -> None:
    with pytest.raises(TypeError, match="unknown event str"):
        Told().agent.handle("hello", 1.0)  # type: ignore[arg-type]


def test_the_agent_tells_for_how_long_it_is_connected() -> None:
    told = Told().started()
    assert told.agent.connected_s(told.now) == 0.0
    told = Told().opened(heartbeat_s=7.0)
    assert told.agent.connected_s(told.now + 3.0) == 3.0
    assert told.agent.heartbeat_s == 7.0
