"""Every state meets every event: either its table says what follows, or it is an error of ours."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from controlplane.core.rollouts.model import (
    HOST_TRANSITIONS,
    ROLLOUT_TRANSITIONS,
    HostEvent,
    HostState,
    RolloutState,
    host_after,
    rollout_after,
)
from controlplane.core.states import (
    AGENT_TRANSITIONS,
    ATTEMPT_TRANSITIONS,
    LIVENESS_TRANSITIONS,
    MIGRATION_ASKS_A_PERSON,
    MIGRATION_ENDED,
    MIGRATION_LEFT_PLACE,
    MIGRATION_TRANSITIONS,
    MIGRATION_UNDOING,
    STEP_TRANSITIONS,
    AgentState,
    AttemptState,
    InvalidTransition,
    Liveness,
    MigrationState,
    StepState,
    agent_after,
    liveness_after,
    migration_after,
    step_after,
)

Table = Mapping[tuple[Any, Any], Any]
MACHINES: list[tuple[Callable[..., Any], Table, Iterable[Any]]] = [
    (step_after, STEP_TRANSITIONS, StepState),
    (migration_after, MIGRATION_TRANSITIONS, MigrationState),
    (agent_after, AGENT_TRANSITIONS, AgentState),
    (liveness_after, LIVENESS_TRANSITIONS, Liveness),
    (rollout_after, ROLLOUT_TRANSITIONS, RolloutState),
    (host_after, HOST_TRANSITIONS, HostState),
]
TABLES = [(STEP_TRANSITIONS, StepState), (MIGRATION_TRANSITIONS, MigrationState)]
TABLES += [(ATTEMPT_TRANSITIONS, AttemptState), (AGENT_TRANSITIONS, AgentState), (LIVENESS_TRANSITIONS, Liveness)]


def events_of(table: Table) -> set[str]:
    return {event for _, event in table}


@pytest.mark.parametrize(("after", "table", "states"), MACHINES, ids=lambda each: getattr(each, "__name__", ""))
def test_every_state_meets_every_event(after: Callable[..., Any], table: Table, states: Iterable[Any]) -> None:
    for state in (None, *states):
        for event in (*events_of(table), "NeverHeardOf"):
            if (state, event) in table:
                assert after(state, event) is table[state, event]
            else:
                with pytest.raises(InvalidTransition, match=f"x_1: .* that is {state} cannot meet {event}") as caught:
                    after(state, event, "x_1")
                assert caught.value.subject == "x_1"


@pytest.mark.parametrize(("table", "states"), TABLES)
def test_every_state_is_reached_from_the_beginning(table: Table, states: Iterable[Any]) -> None:
    reached: set[Any] = {None}
    while True:
        further = reached | {after for (before, _), after in table.items() if before in reached}
        if further == reached:
            break
        reached = further
    assert reached == {None, *states}


@pytest.mark.parametrize(("table", "states"), TABLES)
def test_there_is_one_beginning(table: Table, states: Iterable[Any]) -> None:
    assert len([event for before, event in table if before is None]) == 1


def test_an_ended_attempt_never_moves_again() -> None:
    assert {before for before, _ in ATTEMPT_TRANSITIONS if before is not None} == {AttemptState.RUNNING}


def test_nothing_leaves_an_ended_migration_but_undoing_a_successful_one() -> None:
    leaving = {key for key in MIGRATION_TRANSITIONS if key[0] in MIGRATION_ENDED}
    assert leaving == {
        (MigrationState.SUCCEEDED, "MigrationRollbackAsked"),
        (MigrationState.SUPERSEDED, "MigrationRollbackAsked"),
    }


def test_a_migration_that_neither_ended_nor_asks_a_person_can_reach_an_end() -> None:
    ends = MIGRATION_ENDED | MIGRATION_ASKS_A_PERSON
    for state in set(MigrationState) - ends:
        assert {after for (before, _), after in MIGRATION_TRANSITIONS.items() if before is state} & ends


def test_undone_and_cancelled_steps_stay_so_but_for_a_retry_that_begins_again() -> None:
    leaving = {event for state, event in STEP_TRANSITIONS if state in (StepState.UNDONE, StepState.CANCELLED)}
    assert leaving == {"StepReplanned"}


def test_every_state_of_a_migration_is_open_or_ended() -> None:
    moving = {MigrationState.RUNNING} | MIGRATION_UNDOING
    assert moving | MIGRATION_ASKS_A_PERSON | MIGRATION_ENDED == set(MigrationState)
    assert not moving & MIGRATION_ENDED and not MIGRATION_ASKS_A_PERSON & MIGRATION_ENDED
    assert MIGRATION_LEFT_PLACE <= MIGRATION_ENDED


def test_a_host_of_a_rollout_begins_by_waiting_and_can_come_to_every_state_by_every_event() -> None:
    reached = {HostState.WAITING}
    for _ in HostState:
        reached |= {after for (before, _), after in HOST_TRANSITIONS.items() if before in reached}
    assert reached == set(HostState)
    assert events_of(HOST_TRANSITIONS) == set(HostEvent)
