"""Renewing the identity: asked for in time, verified by a session, kept or dropped; the work never notices."""

import pytest

from agentd.core import effects, events
from agentd.core.renewing import FIRST_S, MAX_S
from tests.unit.agentd.core.stories import Told, none_of, only


def opened(told: Told, renew_in_s: float = 100.0) -> Told:
    told.tell(events.SessionOpened(told.session, 1000.0, 900.0, renew_in_s))
    return told


def requested(told: Told) -> Told:
    """A session is open, and the time for a new identity has come."""
    opened(told.started())
    only(told.tell(events.Ticked(), 100.0), effects.RequestIdentity)
    return told


def verifying(told: Told) -> Told:
    """The candidate's dial is under way."""
    only(requested(told).tell(events.CandidateReceived()), effects.CloseSession)
    told.closed()
    assert only(told.tell(events.Ticked()), effects.OpenSession).candidate
    return told


def test_an_identity_is_renewed_when_it_is_due_and_not_before() -> None:
    told = opened(Told().started())
    assert told.agent.wake_at == told.now + 100.0
    assert none_of(told.tell(events.Ticked(), 99.9), effects.RequestIdentity)
    only(told.tell(events.Ticked(), 0.1), effects.RequestIdentity)
    # Asked for once, however often the clock ticks.
    assert none_of(told.tell(events.Ticked(), 500.0), effects.RequestIdentity)


def test_a_control_plane_that_renews_none_is_asked_for_none() -> None:
    told = opened(Told().started(), renew_in_s=0.0)
    assert none_of(told.tell(events.Ticked(), 10_000.0), effects.RequestIdentity)


def test_without_a_session_nothing_is_asked_for() -> None:
    told = opened(Told().started())
    told.closed()
    assert none_of(told.tell(events.Ticked(), 200.0), effects.RequestIdentity)


def test_a_candidate_that_opens_a_session_is_kept() -> None:
    told = verifying(Told())
    opened(told)
    only(told.done, effects.KeepIdentity)
    only(told.tell(events.Ticked(), 100.0), effects.RequestIdentity)


def test_a_candidate_that_opens_none_is_dropped_and_the_old_identity_dials_at_once() -> None:
    told = verifying(Told())
    only(told.closed(), effects.DropCandidate)
    assert not only(told.tell(events.Ticked()), effects.OpenSession).candidate
    opened(told)
    assert none_of(told.done, effects.KeepIdentity)
    # The next try waits for its backoff, not for the time that the control plane named.
    assert told.agent.wake_at == told.now + FIRST_S / 2
    only(told.tell(events.Ticked(), FIRST_S), effects.RequestIdentity)


def test_a_candidate_that_was_lost_with_its_session_is_still_tried() -> None:
    told = requested(Told())
    told.closed()
    assert none_of(told.tell(events.CandidateReceived()), effects.CloseSession)
    assert only(told.tell(events.Ticked(), 60.0), effects.OpenSession).candidate


def test_failures_wait_ever_longer_and_a_success_forgets_them() -> None:
    told = requested(Told())
    for failures in range(12):
        noted = told.tell(events.CandidateFailed("no room", 0.999))
        assert only(noted, effects.Note).message == "the identity was not renewed: no room"
        wait_s = min(MAX_S, FIRST_S * 2.0**failures)
        assert none_of(told.tell(events.Ticked(), wait_s * 0.99), effects.RequestIdentity)
        only(told.tell(events.Ticked(), wait_s * 0.01), effects.RequestIdentity)
    told.tell(events.CandidateReceived())
    told.closed()
    told.tell(events.Ticked())
    opened(told, renew_in_s=70.0)
    assert told.agent.wake_at == told.now + 70.0


def test_the_control_plane_may_ask_for_it_at_any_time() -> None:
    told = opened(Told().started())
    done = told.tell(events.RenewalAsked("a new authority"))
    only(done, effects.RequestIdentity)
    assert only(done, effects.Note).message == "the identity is renewed: a new authority"
    # While one is under way, another is not begun.
    assert told.tell(events.RenewalAsked("again")) == []


@pytest.mark.parametrize("renew_in_s", [0.0, 100.0])
def test_what_runs_goes_on_through_a_renewal(renew_in_s: float) -> None:
    told = opened(Told().started(), renew_in_s).running()
    told.tell(events.RenewalAsked("now"))
    told.tell(events.CandidateReceived())
    told.closed()
    dial = only(told.tell(events.Ticked()), effects.OpenSession)
    assert [held.attempt_id for held in dial.held] == ["att_1"]
    opened(told)
    assert none_of(told.done, effects.StopChild)
