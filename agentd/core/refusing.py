"""How a grant is refused: the outcomes that answer one that this agent must not run."""

from agentd.core.grants import Failure, Grant, Outcome, OutcomeKind
from agentd.core.held import failed


def of_stale_fence(grant: Grant, seen: int) -> Outcome:
    """A larger fence of the target was seen before."""
    message = f"fence {grant.fence} of target {grant.target} is smaller than {seen}, seen before"
    return Outcome(grant.attempt_id, grant.fence, OutcomeKind.FENCED, failure=Failure("stale_fence", message))


def of_stopping(grant: Grant) -> Outcome:
    """The daemon is on its way out."""
    return failed(grant, Failure("agent_stopping", "the agent is stopping", retryable=True))


def of_kind(grant: Grant) -> Outcome:
    """The host's policy, or what is installed, does not have the kind."""
    message = f"this agent does not run step kind {grant.kind!r}"
    hint = "allow the kind in the host's policy file, or place the step elsewhere by labels"
    return failed(grant, Failure("kind_refused", message, hint))


def of_full(grant: Grant) -> Outcome:
    """Every slot is taken."""
    return failed(grant, Failure("no_free_slot", "the agent has no free slot", retryable=True))
