"""What a person decides about a rollout, words that are lost on the way, and limits that hold whatever happens."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.rollouts.model import MOVING, PATIENT, HostState, Order, RolloutPolicy, RolloutState, StepCounts
from controlplane.core.states import InvalidTransition
from tests.unit.controlplane.core.rollouts.story import (
    NEW,
    OLD,
    OLD_PATH,
    PATH,
    a_host,
    story,
    with_canary,
)

H, R = HostState, RolloutState


# ---- What a person decides


def test_a_paused_one_asks_nobody_and_goes_on_when_it_is_resumed() -> None:
    told, canary = with_canary()
    told.steer("RolloutPaused")
    told.says(canary, "kept")
    for _ in range(5):
        assert told.look(1000.0) == []
    assert (told.state, told.rows[canary].state) == ("paused", H.KEPT)
    told.steer("RolloutResumed")
    told.go_on()
    assert told.state == "succeeded"


def test_a_cancelled_one_takes_back_what_has_not_switched() -> None:
    told, canary = with_canary()
    told.says(canary, "kept")
    told.look(1.0)
    told.look(60.0)
    switched, *others = told.in_state(H.ASKED)
    told.says(switched, "probation")
    told.says(others[0], "fetching", OLD)
    told.look(1.0)
    assert sorted(told.steer("RolloutCancelled")) == sorted(Order(each) for each in others)
    assert told.state == "cancelled"
    # The word is on its way: what the host still says of before changes nothing.
    told.look(1.0)
    assert told.states() == {"kept": 1, "probation": 1, "cancelled": 3, "waiting": 5}
    told.says(switched, "kept")
    for _ in range(5):
        assert told.look(1000.0) == []
    assert told.states() == {"kept": 2, "cancelled": 3, "waiting": 5}


def test_who_had_switched_before_the_cancel_came_goes_on_to_its_end() -> None:
    told, canary = with_canary()
    told.steer("RolloutCancelled")
    told.says(canary, "probation")
    told.look(1.0)
    assert told.rows[canary].state is H.PROBATION
    other, canary = with_canary()
    other.steer("RolloutCancelled")
    other.says(canary, "rolled_back", OLD, cause_code="asked_on_host")
    other.look(1.0)
    assert other.rows[canary].state is H.CANCELLED


def test_a_halted_one_goes_on_when_a_person_forgives_it() -> None:
    told, canary = with_canary(policy=RolloutPolicy(waves=(1.0,), soak_s=1.0, return_on_halt=False))
    told.says(canary, "rolled_back", OLD, cause_code="crashed")
    told.look(1.0)
    assert told.state == "halted"
    told.rows[canary] = told.rows[canary]._replace(after=StepCounts(9, 9))
    told.steer("RolloutResumed")
    assert (told.rollout.forgiven, told.rollout.halt_code, told.rows[canary].after) == (1, "", StepCounts())
    told.go_on()
    assert told.state == "succeeded"


def test_a_proposed_one_does_nothing_until_it_is_started() -> None:
    told = story(state=R.PROPOSED)
    assert told.look(5000.0) == []
    told.steer("RolloutStarted")
    assert len(told.look(1.0)) == 1


def test_going_back_obeys_the_limit_and_begins_with_those_in_trouble() -> None:
    told = story(20, RolloutPolicy(waves=(1.0,), soak_s=1.0, in_flight_max=3))
    told.go_on(looks=6, healthy_s=2.0)
    told.obey()
    told.look(1.0)
    probation = told.in_state(H.ASKED)[0]
    told.says(probation, "probation")
    told.look(1.0)
    kept = len(told.in_state(H.KEPT))
    told.steer("RolloutRollbackAsked")
    orders = told.look(1.0)
    assert len(orders) <= 3 and orders[0] == Order(probation, "0.1.0", OLD, OLD_PATH)
    for _ in range(40):
        assert len(told.in_state(H.RETURNING)) <= 3
        told.obey()
        told.look(1.0)
    assert (told.state, told.running(NEW)) == ("rolled_back", 0)
    assert len(told.in_state(H.RETURNED)) == kept + 1


def test_who_comes_back_with_it_after_all_have_gone_back_goes_back_too() -> None:
    told = story(4, RolloutPolicy(waves=(1.0,), soak_s=1.0))
    told.go_on(looks=20, healthy_s=2.0)
    assert told.state == "succeeded"
    told.silent("ag_0")
    told.steer("RolloutRollbackAsked")
    told.go_on(looks=5)
    assert (told.state, told.running(NEW)) == ("rolled_back", 1)
    told.hosts["ag_0"] = told.hosts["ag_0"]._replace(connected=True)
    assert told.look(1.0) == [Order("ag_0", "0.1.0", OLD, OLD_PATH)]
    told.obey()
    told.look(1.0)
    assert (told.state, told.running(NEW)) == ("rolled_back", 0)


@pytest.mark.parametrize("how", ["refused", "missing", "overdue"])
def test_who_does_not_go_back_is_told_and_too_many_stop_it(how: str) -> None:
    told, canary = with_canary()
    told.says(canary, "kept")
    told.look(1.0)
    told.steer("RolloutRollbackAsked")
    told.look(1.0)
    if how == "refused":
        told.says(canary, "refused", wanted_digest=OLD, cause_code="damaged", cause="its files were changed")
        told.look(1.0)
    elif how == "missing":
        told.silent(canary)
        told.look(1.0)
        told.look(601.0)
    else:
        told.says(canary, "probation", wanted_digest=OLD)
        told.look(1201.0)
    assert (told.state, told.rollout.halt_code) == ("halted", "")
    assert told.rows[canary].cause_code == "return_" + ("damaged" if how == "refused" else how)
    with pytest.raises(InvalidTransition, match="cannot meet RolloutPaused"):
        told.steer("RolloutPaused")
    # A person mended the host, and asks again.
    told.hosts[canary] = told.hosts[canary]._replace(connected=True)
    told.says(canary, "kept")
    told.steer("RolloutRollbackAsked")
    told.go_on(looks=4)
    assert (told.state, told.rows[canary].state) == ("rolled_back", H.RETURNED)


def test_a_host_without_a_release_before_cannot_go_back() -> None:
    told, canary = with_canary()
    told.says(canary, "kept")
    told.look(1.0)
    told.rows[canary] = told.rows[canary]._replace(from_digest="")
    told.steer("RolloutRollbackAsked")
    told.look(1.0)
    assert told.rows[canary].cause_code == "return_impossible"


def test_what_has_begun_to_go_back_does_not_go_on() -> None:
    told, canary = with_canary()
    told.says(canary, "kept")
    told.look(1.0)
    told.steer("RolloutRollbackAsked")
    told.look(1.0)
    with pytest.raises(InvalidTransition, match="cannot go on"):
        told.steer("RolloutResumed")


# ---- Words that are lost


def test_a_word_that_was_lost_is_said_again() -> None:
    told, canary = with_canary()
    assert told.look(1.0) == []
    told.hosts[canary] = told.hosts[canary]._replace(told=False)
    assert told.look(1.0) == [Order(canary, "0.2.0", NEW, PATH)]
    told.says(canary, "fetching", OLD)
    told.look(1.0)
    told.hosts[canary] = told.hosts[canary]._replace(told=False)
    assert told.look(1.0) == []
    told.steer("RolloutCancelled")
    told.hosts[canary] = told.hosts[canary]._replace(told=False)
    assert told.look(1.0) == [Order(canary)]


def test_a_host_that_is_busy_with_another_rollout_is_left_alone() -> None:
    told = story(1)
    told.hosts["ag_0"] = a_host(0, running=a_host(0).running._replace(state="fetching", rollout_id="roll_9"))
    assert told.look(1.0) == []


def test_what_a_host_says_of_another_rollout_does_not_count() -> None:
    told, canary = with_canary()
    told.says(canary, "rolled_back", OLD, rollout_id="roll_0", cause_code="crashed")
    told.look(1.0)
    assert told.rows[canary].state is H.ASKED


def test_an_architecture_that_is_no_longer_known_is_taken_back() -> None:
    told, canary = with_canary()
    told.hosts[canary] = told.hosts[canary]._replace(architecture="riscv64", told=False)
    assert told.look(1.0) == [Order(canary)]


def test_failures_are_told_by_id_of_hosts_that_are_gone() -> None:
    told, canary = with_canary()
    told.silent(canary)
    told.look(1.0)
    del told.hosts[canary]
    told.look(601.0)
    assert canary in told.rollout.halt_cause


# ---- Whatever happens

WORDS = ["fetching", "staged", "probation", "kept", "rolled_back", "held", "refused"]
ACTS = st.one_of(
    st.tuples(st.just("say"), st.integers(0, 11), st.sampled_from(WORDS)),
    st.tuples(st.just("silence"), st.integers(0, 11), st.booleans()),
    st.tuples(st.just("look"), st.floats(0.0, 2000.0), st.none()),
    st.tuples(st.just("steer"), st.sampled_from(["Paused", "Resumed", "Cancelled", "RollbackAsked"]), st.none()),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(ACTS, max_size=60))
def test_limits_hold_and_nothing_carries_on_whatever_happens(acts: list[tuple[str, object, object]]) -> None:
    told = story(12, RolloutPolicy(waves=(0.3, 1.0), soak_s=30.0, in_flight_max=3))
    for what, first, second in acts:
        before = told.rollout.state
        if what == "say":
            agent_id = f"ag_{first}"
            if told.rows[agent_id].asked_at is not None:
                digest = NEW if second in ("probation", "kept") else OLD
                told.says(agent_id, str(second), digest, cause_code="some_code")
        elif what == "silence":
            agent_id = f"ag_{first}"
            told.hosts[agent_id] = told.hosts[agent_id]._replace(connected=bool(second), told=False)
        elif what == "steer":
            try:
                told.steer(f"Rollout{first}")
            except InvalidTransition:
                assert told.rollout.state is before
        else:
            assert isinstance(first, float)
            asked = {row.agent_id for row in told.rows.values() if row.asked_at is not None}
            told.look(first)
            begun = {row.agent_id for row in told.rows.values() if row.asked_at is not None} - asked
            if before not in (R.RUNNING, R.SUCCEEDED):
                assert not begun
            upgrades = [order for order in told.orders if order.digest == NEW]
            assert len({order.agent_id for order in upgrades}) == len(asked | begun)
        moving = [row for row in told.rows.values() if row.state in MOVING - PATIENT]
        assert len(moving) <= 3
