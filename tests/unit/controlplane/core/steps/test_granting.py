"""Who gets which step: slots, order, budgets, targets, fences."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.changes import Changes
from controlplane.core.model import Candidate, Step, first_fence
from controlplane.core.states import AgentState, AttemptState, Direction, StepState
from controlplane.core.steps.leasing import grant_leases, turn_of
from tests.kit.builders import NOW, a_candidate, a_ready_step, an_agent

TTL_S = 60.0
STORES = {"pc_load": ("warehouse",), "pc_lake": ("lake", "warehouse"), "pc_free": (), "pc_twice": ("lake", "lake")}


def ready(number: int, **changes: object) -> Step:
    return a_ready_step(**{"id": f"step_{number:x}", "target": f"warehouse/table_{number}", **changes})


def granted(
    candidates: list[Candidate],
    slots_free: int = 4,
    budget_free: dict[str, int] | None = None,
    generation: int = 1,
    may_begin: Callable[[Step], bool] = lambda step: True,
    **agent: object,
) -> Changes:
    return grant_leases(
        candidates,
        agent=an_agent(**agent),
        slots_free=slots_free,
        budget_free=budget_free or {},
        datastores_of=STORES.__getitem__,
        may_begin=may_begin,
        generation=generation,
        ttl_s=TTL_S,
        now=NOW,
    )


def steps_in(changes: Changes) -> list[str]:
    return [grant.attempt.step_id for grant in changes.grants]


def test_a_grant_is_an_attempt_with_a_lease_a_fence_and_a_fact() -> None:
    changes = granted([a_candidate(ready(1, attempts=2, direction=Direction.UNDO))], incarnation=7)
    (grant,) = changes.grants
    (event,) = changes.events
    attempt = grant.attempt
    assert grant.queue_step_state is StepState.READY
    assert (attempt.id, attempt.number, attempt.step_id) == ("att_1_3", 3, "step_1")
    assert (attempt.agent_id, attempt.incarnation) == ("ag_1", 7)
    assert (attempt.granted_at, attempt.expires_at, attempt.ended_at) == (NOW, NOW + TTL_S, None)
    assert (attempt.state, attempt.direction) == (AttemptState.RUNNING, Direction.UNDO)
    assert (event.type, event.subject, event.attempt_id) == ("LeaseGranted", "step_1", "att_1_3")
    assert event.fence == attempt.fence
    assert not changes.ends and not changes.step_moves


def test_no_more_than_the_free_slots_and_in_the_order_given() -> None:
    assert steps_in(granted([a_candidate(ready(n)) for n in (3, 1, 2)], slots_free=2)) == ["step_3", "step_1"]
    assert steps_in(granted([a_candidate(ready(1))], slots_free=0)) == []
    assert steps_in(granted([a_candidate(ready(1))], slots_free=-1)) == []


def test_a_draining_agent_gets_nothing() -> None:
    assert granted([a_candidate(ready(1))], state=AgentState.DRAINING) == Changes()


def test_a_step_is_not_granted_before_it_may_start() -> None:
    assert steps_in(granted([a_candidate(ready(1, ready_at=NOW + 0.001))])) == []
    assert steps_in(granted([a_candidate(ready(1, ready_at=NOW))])) == ["step_1"]


def test_a_target_has_one_writer_even_among_the_candidates_of_one_pass() -> None:
    pair = [a_candidate(ready(n, target="warehouse/flights")) for n in (1, 2)]
    assert steps_in(granted([*pair, a_candidate(ready(3))])) == ["step_1", "step_3"]


def test_a_full_datastore_holds_only_the_steps_that_touch_it() -> None:
    candidates = [
        a_candidate(ready(1, placement_class="pc_lake")),
        a_candidate(ready(2, placement_class="pc_free")),
        a_candidate(ready(3, placement_class="pc_load")),
    ]
    assert steps_in(granted(candidates, budget_free={"lake": 0})) == ["step_2", "step_3"]
    assert steps_in(granted(candidates, budget_free={"warehouse": 1})) == ["step_1", "step_2"]
    assert steps_in(granted(candidates, budget_free={"warehouse": -1})) == ["step_2"]
    assert steps_in(granted(candidates, budget_free={"elsewhere": 0})) == ["step_1", "step_2", "step_3"]


def test_a_step_within_one_datastore_takes_one_place_of_its_budget() -> None:
    candidates = [a_candidate(ready(n, placement_class="pc_twice")) for n in (1, 2, 3)]
    assert steps_in(granted(candidates, budget_free={"lake": 2})) == ["step_1", "step_2"]


def test_a_step_that_may_not_begin_its_migration_takes_nothing() -> None:
    asked: list[str] = []

    def may_begin(step: Step) -> bool:
        asked.append(step.id)
        return step.id != "step_1"

    candidates = [a_candidate(ready(1)), a_candidate(ready(2, ready_at=NOW + 1.0)), a_candidate(ready(3))]
    changes = granted(candidates, slots_free=1, budget_free={"warehouse": 1}, may_begin=may_begin)
    assert steps_in(changes) == ["step_3"]
    assert asked == ["step_1", "step_3"]  # what may not start anyway is not asked about


def test_turns_go_by_priority_then_by_the_start_of_the_migration_then_by_its_order() -> None:
    told = [
        ready(1, migration_id="mig_100000002", ordinal=0, ready_at=NOW - 9.0),
        ready(2, migration_id="mig_fffffffff", ordinal=3),
        ready(3, migration_id="mig_1000000000", ordinal=0, ready_at=NOW - 9.0),
        ready(4, migration_id="mig_100000001", ordinal=2),
        ready(5, migration_id="mig_100000001", ordinal=1),
        ready(6, migration_id="mig_2000000000", ordinal=0, priority=1),
    ]
    assert [step.id for step in sorted(told, key=turn_of)] == [f"step_{n}" for n in (6, 5, 4, 1, 2, 3)]


def test_the_budgets_of_the_caller_are_not_changed() -> None:
    budget = {"warehouse": 1}
    granted([a_candidate(ready(1))], budget_free=budget)
    assert budget == {"warehouse": 1}


def test_a_fence_after_a_restored_backup_passes_every_earlier_one() -> None:
    (grant,) = granted([a_candidate(ready(1), fence=first_fence(1) + 41)], generation=2).grants
    assert grant.attempt.fence == first_fence(2) + 1


@given(
    last=st.lists(st.integers(0, 2**40), max_size=12),
    targets=st.lists(st.integers(0, 4), min_size=12, max_size=12),
    ready_in_s=st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=12, max_size=12),
    slots_free=st.integers(0, 6),
    lake=st.integers(-1, 3),
    generation=st.integers(1, 3),
)
def test_whatever_the_candidates_the_promises_hold(
    last: list[int], targets: list[int], ready_in_s: list[float], slots_free: int, lake: int, generation: int
) -> None:
    candidates = [
        a_candidate(
            ready(n, target=f"t{targets[n]}", ready_at=NOW + ready_in_s[n], placement_class=list(STORES)[n % 3]), fence
        )
        for n, fence in enumerate(last)
    ]
    changes = granted(candidates, slots_free=slots_free, budget_free={"lake": lake}, generation=generation)
    by_id = {candidate.step.id: candidate for candidate in candidates}
    chosen = [(grant.attempt, by_id[grant.attempt.step_id]) for grant in changes.grants]
    assert len(chosen) <= slots_free
    assert len({attempt.target for attempt, _ in chosen}) == len(chosen)
    assert all(attempt.fence > candidate.fence for attempt, candidate in chosen)
    assert all(attempt.fence > first_fence(generation) for attempt, _ in chosen)
    assert all(candidate.step.ready_at <= NOW for _, candidate in chosen)
    assert sum("lake" in STORES[candidate.step.placement_class] for _, candidate in chosen) <= max(lake, 0)
    assert [attempt.step_id for attempt, _ in chosen] == [c.step.id for c in candidates if c in [x for _, x in chosen]]
    assert [event.type for event in changes.events] == ["LeaseGranted"] * len(chosen)
