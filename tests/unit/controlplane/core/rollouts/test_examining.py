"""The doctor's look at a rollout: a sound one passes, and each broken promise is named."""

from dataclasses import replace

from controlplane.core.events import Event
from controlplane.core.rollouts.examining import examine_rollout
from controlplane.core.rollouts.model import HostState, RolloutPolicy, RolloutState
from tests.unit.controlplane.core.rollouts.story import NOW, SMALL, Story, a_host, story


def events_of(told: Story) -> list[Event]:
    begun = [("RolloutProposed", "", ""), ("RolloutStarted", "", "")]
    return [
        Event(NOW, type_, "roll_1", agent_id=agent or None, detail=text)
        for type_, agent, text in [*begun, *told.events]
    ]


def test_a_rollout_that_went_there_and_back_is_sound() -> None:
    told = story()
    told.go_on()
    assert examine_rollout(told.rollout, list(told.rows.values()), events_of(told)) == []
    told.steer("RolloutRollbackAsked")
    told.go_on(looks=20)
    assert told.state == "rolled_back"
    assert examine_rollout(told.rollout, list(told.rows.values()), events_of(told)) == []


def test_who_was_asked_after_it_was_forbidden_is_named() -> None:
    told = story()
    told.look()
    told.steer("RolloutPaused")
    late = [*events_of(told), Event(NOW, "UpgradeAsked", "roll_1", agent_id="ag_7")]
    (found,) = examine_rollout(told.rollout, list(told.rows.values()), late)
    assert (found.promise, found.message) == ("U6", "ag_7 met UpgradeAsked while it was paused")


def test_too_many_in_flight_are_counted() -> None:
    told = Story([a_host(number) for number in range(9)], RolloutPolicy(in_flight_max=3))
    rows = [row._replace(state=HostState.ASKED) for row in told.rows.values()]
    (found,) = examine_rollout(told.rollout, rows, events_of(told))
    assert (found.promise, found.message) == ("U6", "9 hosts are on their way, at most 3 may")


def test_a_state_that_the_log_does_not_lead_to_is_found() -> None:
    told = story(policy=SMALL)
    (found,) = examine_rollout(replace(told.rollout, state=RolloutState.SUCCEEDED), [], events_of(told))
    assert (found.promise, found.message) == ("C3", "it is succeeded, and its log says running")
    strange = [*events_of(told), Event(NOW, "RolloutRolledBack", "roll_1")]
    (found,) = examine_rollout(told.rollout, [], strange)
    assert found.message == "its log has RolloutRolledBack while it was running"
