"""Values of the control plane's core with everything filled in; a test names only what it is about."""

from dataclasses import replace
from typing import Any

from controlplane.core.model import (
    Agent,
    Attempt,
    Candidate,
    Migration,
    Outcome,
    Requirements,
    Step,
    StepPlan,
    attempt_id,
    first_fence,
)
from controlplane.core.states import AgentState, AttemptState, Direction, Liveness, MigrationState, StepState
from controlplane.core.steps.placement import class_of

NOW = 1_000_000.0
FENCE = first_fence(1) + 1


def a_migration(**changes: Any) -> Migration:
    """A running migration."""
    migration = Migration(
        id="mig_1",
        name="flights-to-warehouse",
        dataset="flights",
        workflow="copy",
        workflow_generation=1,
        source="lake",
        destination="warehouse",
        priority=0,
        state=MigrationState.RUNNING,
        reason="",
        created_at=NOW,
        ended_at=None,
    )
    return migration._replace(**changes)


def a_step(**changes: Any) -> Step:
    """A blocked forward step that may be tried three times, first wait 2 s, then twice as long, up to 60 s."""
    step = Step(
        id="step_1",
        migration_id="mig_1",
        ordinal=0,
        name="load",
        kind="load",
        placement_class="pc_load",
        priority=0,
        state=StepState.BLOCKED,
        direction=Direction.FORWARD,
        ready_at=0.0,
        queue_deadline_at=None,
        attempts=0,
        failures=0,
        attempts_max=3,
        target="warehouse/flights",
        fenced=True,
        pivot=False,
        compensatable=True,
        touched=False,
        queue_s=3600.0,
        start_to_finish_s=0.0,
        progress_s=0.0,
        backoff_initial_s=2.0,
        backoff_factor=2.0,
        backoff_max_s=60.0,
        reason_code="",
        reason="",
        hint="",
        unreachable_for_s=900.0,
        unreachable_since=None,
        losses=0,
    )
    return step._replace(**changes)


def a_ready_step(**changes: Any) -> Step:
    """A step that an agent may take now."""
    return a_step(**{"state": StepState.READY, "ready_at": NOW, "queue_deadline_at": NOW + 3600.0, **changes})


def a_leased_step(**changes: Any) -> Step:
    """A step in its first try."""
    return a_step(**{"state": StepState.LEASED, "attempts": 1, "touched": True, **changes})


def an_attempt(**changes: Any) -> Attempt:
    """The first try at ``a_leased_step``, granted now for 60 s."""
    attempt = Attempt(
        id="att_1_1",
        step_id="step_1",
        migration_id="mig_1",
        number=1,
        direction=Direction.FORWARD,
        agent_id="ag_1",
        incarnation=1,
        fence=FENCE,
        target="warehouse/flights",
        state=AttemptState.RUNNING,
        granted_at=NOW,
        expires_at=NOW + 60.0,
        ended_at=None,
    )
    return attempt._replace(**changes)


def an_attempt_at(step: Step, **changes: Any) -> Attempt:
    """The newest try at ``step``."""
    number = max(step.attempts, 1)
    return an_attempt(
        **{
            "id": attempt_id(step.id, number),
            "step_id": step.id,
            "migration_id": step.migration_id,
            "number": number,
            "direction": step.direction,
            "target": step.target,
            **changes,
        }
    )


def an_outcome(**changes: Any) -> Outcome:
    """The successful end of ``an_attempt``."""
    return replace(Outcome("att_1_1", FENCE, AttemptState.SUCCEEDED, b"result"), **changes)


def an_agent(**changes: Any) -> Agent:
    """A connected agent with four slots that can run every built-in kind anywhere."""
    agent = Agent(
        id="ag_1",
        name="host-1",
        state=AgentState.SERVING,
        liveness=Liveness.ALIVE,
        liveness_cause="",
        incarnation=1,
        slots=4,
        kinds=frozenset({"extract", "transform", "load", "validate"}),
        datastores=frozenset({"*"}),
        labels={},
        boot_id="boot-1",
        version="0",
        drain_reason="",
        heard_at=NOW,
    )
    return replace(agent, **changes)


def a_candidate(step: Step | None = None, fence: int = 0) -> Candidate:
    """A ready step on a target that was never written, unless ``fence`` says otherwise."""
    return Candidate(step or a_ready_step(), fence)


def a_plan(**changes: Any) -> StepPlan:
    """A planned load with parameters that are already made."""
    plan = StepPlan(
        name="load",
        kind="load",
        needs=(),
        template='{"holes":[],"params":{}}',
        params=b"params",
        requirements=Requirements("load", ("warehouse",)),
        target="warehouse/flights",
        queue_s=3600.0,
        start_to_finish_s=0.0,
        progress_s=0.0,
        attempts_max=3,
        backoff_initial_s=2.0,
        backoff_factor=2.0,
        backoff_max_s=60.0,
    )
    return replace(plan, **changes)


def class_for(plan: StepPlan) -> str:
    """The placement class of a planned step."""
    return class_of(plan.requirements)
