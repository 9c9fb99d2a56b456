"""Deadlines: by this host's clock, from the moment of asking, never from the moment of the answer."""

import pytest

from agentd.core import effects, events
from agentd.core.grants import Progress
from agentd.core.lease_keeping import KEEP_FRACTION, READINGS_MAX, Readings
from tests.unit.agentd.core.stories import PROGRESS, Told, grant, none_of, only


def test_a_fresh_grant_permits_nothing_destructive() -> None:
    told = Told().opened().running()
    assert not told.agent.may_destroy("att_1", told.now)
    assert not told.agent.may_destroy("att_9", told.now)


def test_a_renewal_counts_from_when_its_message_left() -> None:
    told = Told().opened().running()
    sequence = told.sent()
    sent_at = told.now
    told.now += 20.0
    (deadline,) = told.renewed(sequence, ttl_s=60.0)
    assert deadline == effects.WriteDeadline("att_1", sent_at + KEEP_FRACTION * 60.0, sent_at + 900.0)
    assert told.agent.may_destroy("att_1", sent_at + 53.9)
    assert not told.agent.may_destroy("att_1", sent_at + 54.0)


def test_a_late_answer_never_shortens_what_a_newer_one_gave() -> None:
    told = Told().opened().running()
    first = told.sent()
    told.now += 15.0
    second = told.sent()
    newest = only(told.renewed(second), effects.WriteDeadline)
    assert only(told.renewed(first), effects.WriteDeadline) == newest


def test_a_renewal_of_a_message_that_nobody_sent_is_refused() -> None:
    told = Told().opened().running()
    assert told.renewed(99) == []
    assert not told.agent.may_destroy("att_1", told.now)


def test_a_renewal_of_the_last_session_is_refused_in_this_one() -> None:
    told = Told().opened().running()
    sequence = told.sent()
    told.closed()
    told.tell(events.Ticked(), 10.0)
    told.opened()
    assert told.renewed(sequence) == []


def test_a_renewal_with_another_fence_is_refused() -> None:
    told = Told().opened().running()
    assert none_of(told.renewed(told.sent(), fence=6), effects.WriteDeadline)


def test_an_ended_attempt_is_not_renewed() -> None:
    told = Told().opened().running()
    sequence = told.sent()
    told.ended()
    assert told.renewed(sequence) == []
    assert not told.agent.may_destroy("att_1", told.now)


def test_fenced_work_goes_on_without_contact_up_to_its_limit() -> None:
    told = Told().opened(disconnected_max_s=900.0).running()
    told.renewed(told.sent())
    contact_at = told.now
    told.closed()
    told.tell(events.Ticked(), 1.0)
    assert told.agent.wake_at == contact_at + 900.0
    told.now = contact_at + 899.0
    assert none_of(told.tell(events.Ticked()), effects.StopChild)
    assert only(told.tell(events.Ticked(), 1.0), effects.StopChild).reason == "disconnected"
    outcome = told.ended(None)
    assert outcome.failure is not None
    assert outcome.failure.retryable


def test_an_attempt_is_stopped_at_its_start_to_finish_limit() -> None:
    told = Told().opened().running(grant(start_to_finish_s=30.0))
    assert only(told.tell(events.Ticked(), 30.0), effects.StopChild).reason == "timed_out"
    outcome = told.ended(None)
    assert outcome.failure is not None
    assert outcome.failure.code == "timed_out"


def test_only_a_growing_watermark_is_progress() -> None:
    told = Told().opened().running(grant(progress_s=30.0))
    told.tell(events.ChildProgressed("att_1", PROGRESS), 20.0)
    told.tell(events.ChildProgressed("att_1", Progress(10, 100, 2000, "writing")), 20.0)
    assert told.agent.wake_at == 1015.0, "the heartbeat comes first"
    assert none_of(told.tell(events.Ticked(), 9.9), effects.StopChild)
    assert only(told.tell(events.Ticked(), 0.1), effects.StopChild).reason == "no_progress"


def test_a_child_that_never_starts_is_stopped_at_its_limit() -> None:
    told = Told().opened()
    told.granted(grant(start_to_finish_s=30.0))
    told.tell(events.AttemptJournalled("att_1"))
    assert only(told.tell(events.Ticked(), 30.0), effects.StopChild).reason == "timed_out"
    assert told.tell(events.ChildStarted("att_1")) == [], "it is being stopped"


def test_readings_are_bounded() -> None:
    readings = Readings()
    for sequence in range(READINGS_MAX + 1):
        readings.remember(sequence, float(sequence))
    assert readings.of(0) is None
    assert readings.of(READINGS_MAX) == pytest.approx(READINGS_MAX)
