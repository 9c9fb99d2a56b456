"""Why a step does not run: each thing that holds it, with what would lift it; lifting exactly that lifts the hold."""

from dataclasses import replace
from typing import Any

import pytest

from controlplane.core.model import Agent, Requirements, Step
from controlplane.core.states import AgentState, Direction, Liveness, StepState
from controlplane.core.steps.admission import Reached
from controlplane.core.steps.reasons import Hold, Surroundings, holds
from tests.kit.builders import NOW, a_leased_step, a_ready_step, a_step, an_agent, an_attempt

REQUIREMENTS = Requirements("load", ("lake", "warehouse"), (("zone", "a"),))
FITTING = an_agent(labels={"zone": "a"})


def around(**changes: Any) -> Surroundings:
    """One agent that fits and has room; nothing else is in the way."""
    usual = Surroundings(
        waits_for=(),
        requirements=REQUIREMENTS,
        agents=(FITTING,),
        leases_of_agent={},
        budgets={},
        in_use={},
        target_holder=None,
        live_attempt=None,
    )
    return replace(usual, **changes)


def codes(step: Step, surroundings: Surroundings) -> list[str]:
    return [hold.code for hold in holds(step, surroundings, NOW)]


def only(step: Step, surroundings: Surroundings) -> Hold:
    (hold,) = holds(step, surroundings, NOW)
    return hold


def test_nothing_holds_a_ready_step_with_an_agent_that_has_room() -> None:
    assert holds(a_ready_step(), around(), NOW) == []


@pytest.mark.parametrize(
    ("state", "message", "lifted_by"),
    [
        (StepState.SUCCEEDED, "the step is succeeded", "nothing: it is over"),
        (StepState.CANCELLED, "the step is cancelled: wrong table", "nothing: it is over"),
        (StepState.UNDONE, "the step is undone: wrong table", "nothing: it is over"),
        (
            StepState.FAILED,
            "the step is failed: wrong table",
            "mend the cause, then `haulier migration retry NAME`; or go back with "
            "`haulier migration rollback NAME --reason TEXT`",
        ),
        (
            StepState.STUCK,
            "the step is stuck: wrong table",
            "mend the cause, then `haulier migration retry NAME` to undo it again",
        ),
    ],
)
def test_a_step_that_ended_says_how(state: StepState, message: str, lifted_by: str) -> None:
    step = a_step(state=state, reason="" if state is StepState.SUCCEEDED else "wrong table")
    assert only(step, around()) == Hold("ended", message, lifted_by)


def test_a_running_step_says_who_runs_it() -> None:
    hold = only(a_leased_step(), around(live_attempt=an_attempt()))
    assert hold == Hold("running", "nothing: attempt att_1_1 on ag_1 is running it", "its end")
    assert "an attempt is running" in only(a_leased_step(), around()).message


def test_a_running_step_that_waits_for_somebody_says_for_whom() -> None:
    said = "waiting for a lock on 'things', held by pid 7 of user 'ada' for 3m12s"
    hold = only(a_leased_step(), around(live_attempt=an_attempt(), stage=said))
    assert hold.code == "destination_held"
    assert hold.message == f"attempt att_1_1 on ag_1 is {said}"
    assert only(a_leased_step(), around(live_attempt=an_attempt(), stage="staging")).code == "running"


def test_a_blocked_step_names_each_step_before_it() -> None:
    waits_for = (
        a_leased_step(name="extract"),
        a_step(name="transform", state=StepState.FAILED, reason="bad SQL"),
    )
    extract, transform = holds(a_step(), around(waits_for=waits_for), NOW)
    assert extract == Hold("earlier_step", "it needs step extract, which is leased", "the success of step extract")
    assert transform == Hold(
        "earlier_step",
        "it needs step transform, which has failed: bad SQL",
        "`haulier migration retry NAME` after mending the cause",
    )


def test_an_undo_waits_for_the_undo_of_what_came_after() -> None:
    later = a_step(name="validate", direction=Direction.UNDO, state=StepState.READY)
    hold = only(a_step(direction=Direction.UNDO), around(waits_for=(later,)))
    assert hold == Hold(
        "earlier_step", "step validate must be undone before it and is ready", "the undo of step validate"
    )


def test_a_backoff_says_what_failed_and_when_the_next_try_is() -> None:
    step = a_ready_step(ready_at=NOW + 12.0, attempts=2, reason_code="broken", reason="no route")
    hold = only(step, around())
    assert (hold.code, hold.lifts_in_s) == ("retry_backoff", 12.0)
    assert hold.message == "try 2 did not succeed (broken: no route); the next is due in 12 s"
    assert holds(step._replace(ready_at=NOW), around(), NOW) == []


def test_an_outage_says_since_when_and_until_when_it_uses_up_nothing() -> None:
    step = a_ready_step(
        ready_at=NOW + 12.0,
        attempts=9,
        failures=1,
        unreachable_since=NOW - 300.0,
        reason_code="unreachable",
        reason="no route",
    )
    hold = only(step, around())
    assert (hold.code, hold.lifts_in_s) == ("unreachable", 12.0)
    assert hold.message == (
        "what it needs has been away for 300 s, and for 600 s more this uses up none of its 3 tries: "
        "try 9 did not succeed (unreachable: no route); the next is due in 12 s"
    )
    late = only(step._replace(unreachable_since=NOW - 900.0), around())
    assert "for 900 s, and that is longer than retry.unreachableFor, so tries count: 1 of 3" in late.message


def test_without_any_agent_one_must_join() -> None:
    hold = only(a_ready_step(), around(agents=()))
    assert hold == Hold("no_agent", "no agent has joined", "`haulier token create` prints the command that joins one")


def test_the_nearest_agent_shows_what_is_missing() -> None:
    far = an_agent(name="host-2", kinds=frozenset(), datastores=frozenset())
    near = an_agent(name="host-3", labels={"zone": "b"})
    hold = only(a_ready_step(), around(agents=(far, near)))
    assert hold.code == "no_agent"
    assert hold.message == "none of 2 agents fits: the nearest, host-3, lacks label zone=a (it has zone=b)"
    assert hold.lifted_by == "an agent with label zone=a (it has zone=b)"


@pytest.mark.parametrize(
    ("agent", "leases", "code", "message", "lifted_by"),
    [
        (
            replace(FITTING, state=AgentState.DRAINING, drain_reason="new disk"),
            0,
            "drained_agent",
            "agent host-1 is draining (new disk)",
            "`haulier agent resume host-1`",
        ),
        (
            replace(FITTING, state=AgentState.REVOKED, drain_reason="sold"),
            0,
            "revoked_agent",
            "agent host-1 is revoked: sold",
            "`haulier token create --agent host-1`, then `haulier-agentd join` on its one host",
        ),
        (
            replace(FITTING, cordon_reason="new disk"),
            0,
            "cordoned_agent",
            "agent host-1 is cordoned (new disk)",
            "`haulier agent uncordon host-1`",
        ),
        (
            replace(FITTING, state=AgentState.DRAINING),
            0,
            "drained_agent",
            "agent host-1 is draining",
            "`haulier agent resume host-1`",
        ),
        (
            replace(FITTING, liveness=Liveness.SUSPECT, liveness_cause="its stream was closed"),
            0,
            "silent_agent",
            "agent host-1 is suspect: its stream was closed",
            "start or reconnect agent host-1",
        ),
        (
            replace(FITTING, liveness=Liveness.LOST),
            0,
            "silent_agent",
            "agent host-1 is lost: it has not connected yet",
            "start or reconnect agent host-1",
        ),
        (
            FITTING,
            4,
            "slots",
            "all 4 slots of agent host-1 are taken",
            "the end of a step on host-1, or more slots there",
        ),
    ],
)
def test_the_agents_that_fit_say_why_they_cannot(
    agent: Agent, leases: int, code: str, message: str, lifted_by: str
) -> None:
    surroundings = around(agents=(agent,), leases_of_agent={"ag_1": leases})
    assert only(a_ready_step(), surroundings) == Hold(code, message, lifted_by)
    other = replace(FITTING, id="ag_2", name="host-2")
    assert holds(a_ready_step(), replace(surroundings, agents=(agent, other)), NOW) == []


def test_a_full_datastore_is_named_with_its_limit() -> None:
    surroundings = around(budgets={"lake": 2, "warehouse": 3, "shop": 0}, in_use={"lake": 2, "warehouse": 2})
    hold = only(a_ready_step(), surroundings)
    assert hold.code == "datastore_budget"
    assert hold.message == "2 steps already touch datastore lake, whose limit is 2"
    assert hold.lifted_by == "the end of one of them, or a larger concurrencyMax of datastore lake"
    assert holds(a_ready_step(), replace(surroundings, in_use={"lake": 1, "warehouse": 2}), NOW) == []


def test_a_limit_of_migrations_is_named_with_those_that_use_it_up() -> None:
    names = tuple(f"move-{number}" for number in range(1, 8))
    here, in_all = holds(a_ready_step(), around(reached=(Reached("lake", 2, names[:2]), Reached("", 7, names))), NOW)
    assert {here.code, in_all.code} == {"migrations_limit"}
    assert here.message == (
        "waiting: 2 migrations from or to datastore lake are under way (move-1, move-2), and the limit is 2"
    )
    assert here.lifted_by == "the end of one of them, or a larger migrationsMax of datastore lake"
    assert in_all.message == (
        "waiting: 7 migrations in all are under way (move-1, move-2, move-3, move-4, move-5 and 2 more), "
        "and the limit is 7"
    )
    assert in_all.lifted_by == (
        "the end of one of them, or a larger migrations_max in the control plane's configuration"
    )


def test_a_target_with_another_writer_is_busy() -> None:
    hold = only(a_ready_step(), around(target_holder=an_attempt(id="att_9_1"), holder_migration="m9"))
    assert hold.code == "target_busy"
    assert hold.message == "attempt att_9_1 of migration m9 is writing warehouse/flights, and a target has one writer"
    assert hold.lifted_by == "its end, or `haulier migration cancel m9 --reason TEXT`"


def test_everything_that_holds_it_is_named_in_order() -> None:
    surroundings = around(agents=(), budgets={"lake": 0}, target_holder=an_attempt())
    step = a_ready_step(ready_at=NOW + 1.0)
    assert codes(step, surroundings) == ["retry_backoff", "no_agent", "datastore_budget", "target_busy"]


def test_a_target_without_a_fence_is_left_alone_until_the_lock_delay_has_passed() -> None:
    hold = only(a_ready_step(fenced=False), around(lock_delay_ends_at=NOW + 30))
    assert (hold.code, hold.lifts_in_s) == ("lock_delay", 30)
    assert codes(a_ready_step(fenced=False), around(lock_delay_ends_at=NOW)) == []
