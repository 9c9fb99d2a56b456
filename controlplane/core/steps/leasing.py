"""Who may run a step, until when, under which fence; and what the end of an attempt means."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from controlplane.core.changes import Changes, EndAttempt, GrantLease, KeepResult, MoveStep
from controlplane.core.events import Event
from controlplane.core.model import Agent, Attempt, Candidate, Failure, Outcome, Step, attempt_id, first_fence
from controlplane.core.states import AgentState, AttemptState, Direction, StepState, step_after
from controlplane.core.steps.retrying import backoff_s, is_outage_over, may_retry, outage_began_at, outage_pause_s

# A slot is still taken by a child that is being stopped: soon there is room, so asking again at once would only spin.
NO_FREE_SLOT = "no_free_slot"
# A child that vanished without a result was killed by something else, and a daemon that has just started, is on its way
# out or has no room never began: losses, no failures of the step.
NOT_THE_STEPS_FAULT = frozenset({"child_lost", "agent_starting", "agent_stopping", NO_FREE_SLOT})


def turn_of(step: Step) -> tuple[int, int, str, int]:
    """Sort ready steps: by priority, then by the start of their migration, so that one ends before the next begins.

    Ids rise with each start; where they have grown a digit, the longer one is the later.
    """
    return (-step.priority, len(step.migration_id), step.migration_id, step.ordinal)


class Refused(NamedTuple):
    """A request that may not be granted, and why."""

    because: str


class Renewed(NamedTuple):
    """A lease that goes on until ``expires_at``."""

    expires_at: float


@dataclass(slots=True)
class LiveLease:
    """A live lease as the running control plane keeps it in memory; the attempt row is its durable part.

    ``moved_at`` is when the watermark last grew; renewal demands that it keeps growing.
    """

    attempt_id: str
    step_id: str
    agent_id: str
    incarnation: int
    fence: int
    granted_at: float
    expires_at: float
    moved_at: float
    start_to_finish_s: float
    progress_s: float
    watermark: int = 0


def grant_leases(
    candidates: Iterable[Candidate],
    *,
    agent: Agent,
    slots_free: int,
    budget_free: Mapping[str, int],
    datastores_of: Callable[[str], tuple[str, ...]],
    may_begin: Callable[[Step], bool] = lambda step: True,
    generation: int,
    ttl_s: float,
    now: float,
) -> Changes:
    """Choose the steps that ``agent`` gets, in the candidates' order, and raise each target's fence.

    ``budget_free`` maps a budgeted datastore to the steps that may still start on it; ``datastores_of`` maps a
    placement class to its datastores; ``may_begin`` is asked last, and tells whether a limit of migrations under way
    leaves room for the step's. Two candidates with one target never both win (promise L2).
    """
    changes = Changes()
    if agent.state is not AgentState.SERVING:
        return changes
    budget = dict(budget_free)
    targets: set[str] = set()
    for step, last_fence in candidates:
        if slots_free <= 0:
            break
        if step.ready_at > now or step.target in targets:
            continue
        stores = set(datastores_of(step.placement_class)) if budget else set()
        if any(budget.get(store, 1) <= 0 for store in stores) or not may_begin(step):
            continue
        for store in stores:
            if store in budget:
                budget[store] -= 1
        targets.add(step.target)
        slots_free -= 1
        # The generation is in the high bits, so fences granted after a restored backup pass all earlier ones.
        fence = max(last_fence, first_fence(generation)) + 1
        attempt = _attempt_at(step, agent, fence, generation, now, ttl_s)
        changes.grants.append(GrantLease(attempt, step.state))
        changes.events.append(
            Event(
                at=now,
                type="LeaseGranted",
                subject=step.id,
                migration_id=step.migration_id,
                attempt_id=attempt.id,
                agent_id=agent.id,
                fence=fence,
                detail=agent.name,
            )
        )
    return changes


def _attempt_at(step: Step, agent: Agent, fence: int, generation: int, now: float, ttl_s: float) -> Attempt:
    number = step.attempts + 1
    return Attempt(
        id=attempt_id(step.id, number, generation),
        step_id=step.id,
        migration_id=step.migration_id,
        number=number,
        direction=step.direction,
        agent_id=agent.id,
        incarnation=agent.incarnation,
        fence=fence,
        target=step.target,
        state=AttemptState.RUNNING,
        granted_at=now,
        expires_at=now + ttl_s,
        ended_at=None,
    )


def renew(lease: LiveLease, *, fence: int, incarnation: int, now: float, ttl_s: float) -> Renewed | Refused:
    """Extend ``lease``, unless time, another holder or a newer life of its agent has already taken it."""
    if fence != lease.fence:
        return Refused(f"fence {fence} does not hold this step, {lease.fence} does")
    if incarnation < lease.incarnation:
        return Refused(f"incarnation {incarnation} of the agent was followed by {lease.incarnation}")
    if now >= lease.expires_at:
        # Late by one tick is late: reviving a dead lease would race the reaper, which may have granted it anew.
        return Refused("lease expired")
    limit = overrun(lease, now)
    if limit is not None:
        return Refused(limit.message)
    return Renewed(now + ttl_s)


def overrun(lease: LiveLease, now: float) -> Failure | None:
    """Return the timeout that a running attempt has passed, if any."""
    if lease.start_to_finish_s and now - lease.granted_at > lease.start_to_finish_s:
        return Failure(
            "start_to_finish_timeout",
            f"the attempt ran longer than its limit of {lease.start_to_finish_s:g} s",
            "raise timeouts.startToFinish of the step if this work needs longer",
        )
    if lease.progress_s and now - lease.moved_at > lease.progress_s:
        return Failure(
            "progress_timeout",
            f"the attempt made no progress for {lease.progress_s:g} s (watermark {lease.watermark})",
            "see the attempt's output with `haulier logs`; raise timeouts.progress if such pauses are normal",
        )
    return None


def settle(step: Step, attempt: Attempt, outcome: Outcome, now: float, *, moved: bool = False) -> Changes | Refused:
    """Decide what the reported end of an attempt means; refuse a report that no longer holds the step.

    ``moved`` tells whether the attempt got on with its work before it ended.
    """
    if outcome.fence != attempt.fence:
        return Refused(f"fence {outcome.fence} does not hold this step, {attempt.fence} does")
    if attempt.state is not AttemptState.RUNNING:
        return Refused(f"the attempt has ended as {attempt.state}")
    if outcome.state is AttemptState.SUCCEEDED:
        return _succeed(step, attempt, outcome, now)
    failure = outcome.failure or Failure("unknown", "the agent gave no reason")
    return _fall_back(step, attempt, outcome.state, failure, now, outcome=outcome, moved=moved)


def expire(step: Step, attempt: Attempt, failure: Failure, now: float, *, lock_delay_s: float) -> Changes:
    """End an attempt whose agent was silent or whose time is over; its process may still be alive."""
    return _fall_back(step, attempt, AttemptState.LOST, failure, now, lock_delay_s=lock_delay_s)


def _succeed(step: Step, attempt: Attempt, outcome: Outcome, now: float) -> Changes:
    event = "StepSucceeded" if attempt.direction is Direction.FORWARD else "StepUndone"
    changes = Changes()
    changes.ends.append(EndAttempt(attempt.id, attempt.fence, AttemptState.SUCCEEDED, now, None, outcome.use))
    changes.step_moves.append(MoveStep(step.id, step.state, step_after(step.state, event, step.id), step.direction))
    if outcome.result and attempt.direction is Direction.FORWARD:
        changes.results.append(KeepResult(step.id, outcome.result))
    changes.events.append(Event(now, event, step.id, step.migration_id, attempt.id, attempt.agent_id, attempt.fence))
    return changes


_END_EVENTS = {
    AttemptState.FAILED: "AttemptFailed",
    AttemptState.CANCELLED: "AttemptCancelled",
    AttemptState.FENCED: "AttemptFenced",
    AttemptState.LOST: "LeaseExpired",
}


def _fall_back(
    step: Step,
    attempt: Attempt,
    state: AttemptState,
    failure: Failure,
    now: float,
    *,
    outcome: Outcome | None = None,
    moved: bool = False,
    lock_delay_s: float = 0.0,
) -> Changes:
    """End the attempt without success and bring its step to its next try, or to its end."""
    verdict = _judged(step, attempt, state, failure, moved=moved, now=now)
    failures, losses = step.failures + verdict.failure, step.losses + verdict.loss
    changes = Changes()
    changes.ends.append(EndAttempt(attempt.id, attempt.fence, state, now, failure, outcome.use if outcome else None))
    changes.events.append(
        Event(
            at=now,
            type=_END_EVENTS[state],
            subject=step.id,
            migration_id=step.migration_id,
            attempt_id=attempt.id,
            agent_id=attempt.agent_id,
            fence=attempt.fence,
            detail=f"{failure.code}: {failure.message}",
        )
    )
    if outcome and outcome.result and attempt.direction is Direction.FORWARD:
        changes.results.append(KeepResult(step.id, outcome.result))
    if may_retry(step, retryable=failure.retryable, failures=failures, losses=losses):
        ready_at = now + verdict.pause_s
        if not step.fenced:
            ready_at = max(ready_at, now + lock_delay_s)
        to_state, event, deadline_at = StepState.READY, "StepReadied", ready_at + step.queue_s
    else:
        ready_at, deadline_at = 0.0, None
        to_state, event = end_of(step)
    changes.step_moves.append(
        MoveStep(
            step.id,
            step.state,
            to_state,
            step.direction,
            ready_at=ready_at,
            queue_deadline_at=deadline_at,
            failures=failures,
            reason_code=failure.code,
            reason=failure.message,
            hint=_longer(step, failure) if to_state is not StepState.READY and failure.unreachable else failure.hint,
            unreachable_since=verdict.unreachable_since if to_state is StepState.READY else None,
            losses=losses,
        )
    )
    changes.events.append(Event(now, event, step.id, step.migration_id, detail=failure.message))
    return changes


def _longer(step: Step, failure: Failure) -> str:
    """The hint of an outage that was too long for its step."""
    told = f"{failure.hint.rstrip('.')}. " if failure.hint else ""
    waits = f"retry.unreachableFor, {step.unreachable_for_s:g} s"
    return (
        f"{told}It was away longer than the step waits ({waits}), and is no longer asked by itself: "
        "`haulier migration retry NAME` once it is back"
    )


class _Verdict(NamedTuple):
    """What the end of a try says about its step: 1 where it counts as a failure or a loss, and the pause after it."""

    failure: int
    loss: int
    pause_s: float
    unreachable_since: float | None


def _judged(
    step: Step, attempt: Attempt, state: AttemptState, failure: Failure, *, moved: bool, now: float
) -> _Verdict:
    """Tell a failure of the work from an outage, and both from an attempt that was merely lost."""
    if state is AttemptState.FAILED and failure.unreachable:
        began_at = outage_began_at(step, attempt, moved=moved, now=now)
        counts = is_outage_over(step, began_at, now)
        return _Verdict(int(counts), 0, outage_pause_s(step, began_at, now), began_at)
    own_fault = state in (AttemptState.FAILED, AttemptState.FENCED) and failure.code not in NOT_THE_STEPS_FAULT
    if own_fault or failure.code.endswith("_timeout"):
        return _Verdict(1, 0, backoff_s(step, step.failures + 1), None)
    # A lost attempt says nothing of the outage either: it goes on counting.
    return _Verdict(0, 1, backoff_s(step, 1 if failure.code == NO_FREE_SLOT else 0), step.unreachable_since)


def end_of(step: Step) -> tuple[StepState, str]:
    """Return how a step ends that gets no further try, and the event that says so."""
    if step.direction is Direction.UNDO:
        return StepState.STUCK, "StepStuck"
    return StepState.FAILED, "StepFailed"
