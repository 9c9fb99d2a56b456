"""One attempt that this agent holds, from its grant until its result is acknowledged."""

from dataclasses import dataclass, field
from enum import StrEnum

from agentd.core.grants import (
    Failure,
    Grant,
    HeldSummary,
    Outcome,
    OutcomeKind,
    Progress,
    ProgressReport,
    ResourceUse,
)
from agentd.core.lease_keeping import Keeping
from agentd.core.states import OCCUPYING, OVER, AttemptState, moved


class StopReason(StrEnum):
    """Why this agent stops an attempt."""

    CANCELLED = "cancelled"
    EVICTED = "evicted"
    TIMED_OUT = "timed_out"
    NO_PROGRESS = "no_progress"
    DISCONNECTED = "disconnected"


STOP_MESSAGES: dict[StopReason, tuple[str, str]] = {
    StopReason.CANCELLED: ("the control plane asked to stop this attempt", ""),
    StopReason.EVICTED: ("a later attempt on the same write target evicted this one", ""),
    StopReason.TIMED_OUT: (
        "the attempt ran longer than the step's start-to-finish limit and was stopped",
        "raise the step's timeout, or cut the dataset into smaller steps",
    ),
    StopReason.NO_PROGRESS: (
        "the attempt's watermark stood still for longer than the step's progress limit; it was stopped",
        "look at the attempt's output; raise the step's progress timeout if it is rightly quiet",
    ),
    StopReason.DISCONNECTED: (
        "the agent had no contact with the control plane for too long and stopped the attempt",
        "see whether the agent's host reaches the control plane",
    ),
}


@dataclass(slots=True)
class Held:
    """Mutable record of one attempt; only `Agent` changes it. Instants are CLOCK_BOOTTIME seconds."""

    grant: Grant
    #: Until when what is neither fenced nor harmless may be done.
    keeping: Keeping
    #: When the child began, before that when the grant came; limits of time count from here.
    started_at: float
    #: When the watermark moved last; the limit without progress counts from here.
    moved_at: float
    state: AttemptState = AttemptState.GRANTED
    #: Whether the grant is on disk: before that no child is started (S2).
    journalled: bool = False
    #: Whether the outcome is on disk: before that nobody is told (S2). Never without `outcome`.
    recorded: bool = False
    progress: Progress = field(default_factory=Progress)
    #: Why the attempt is stopped or was; None while nobody has asked.
    stop_reason: StopReason | None = None
    stop_detail: str = ""
    #: How it ended; set with the state ENDED and never changed.
    outcome: Outcome | None = None
    #: When the outcome was sent last; 0 while it was not.
    sent_at: float = 0.0
    #: The states before the present one, oldest first: the story in an error.
    past: list[AttemptState] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """True when the outcome is known."""
        return self.state in OVER

    @property
    def occupying(self) -> bool:
        """True while there is, or may be, a process."""
        return self.state in OCCUPYING

    def go(self, to: AttemptState) -> None:
        """Change state along the table."""
        after = moved(self.state, to, self.grant.attempt_id, self.past)
        self.past.append(self.state)
        self.state = after

    def sending(self, now: float) -> Outcome:
        """The outcome, which is sent now."""
        assert self.outcome is not None, "only what is over is sent"
        self.sent_at = now
        if self.state is AttemptState.ENDED:
            self.go(AttemptState.REPORTED)
        return self.outcome

    def summary(self) -> HeldSummary:
        """This attempt as Hello and Heartbeat name it."""
        return HeldSummary(self.grant.attempt_id, self.grant.fence, self.progress.watermark)

    def report(self, started: bool = False) -> ProgressReport:
        """News of this attempt."""
        return ProgressReport(self.grant.attempt_id, self.grant.fence, self.progress, started)

    def limit_at(self, disconnected_max_s: float) -> tuple[float, StopReason]:
        """The earliest instant at which this running attempt must be stopped, and why."""
        limits = [(self.keeping.disconnected_at(disconnected_max_s), StopReason.DISCONNECTED)]
        if self.grant.start_to_finish_s > 0:
            limits.append((self.started_at + self.grant.start_to_finish_s, StopReason.TIMED_OUT))
        if self.grant.progress_s > 0:
            limits.append((self.moved_at + self.grant.progress_s, StopReason.NO_PROGRESS))
        return min(limits)


def failed(grant: Grant, failure: Failure, use: ResourceUse | None = None) -> Outcome:
    """The outcome of an attempt that failed here, apart from what its executor said."""
    return Outcome(grant.attempt_id, grant.fence, OutcomeKind.FAILED, failure=failure, use=use or ResourceUse())


def outcome_of_end(held: Held, told: Outcome | None, use: ResourceUse, detail: str) -> Outcome:
    """What to report when no process of `held` is left; `told` is the result that the child wrote, if any.

    A child that finished although it was asked to stop is believed: its effect has happened. One that stopped
    because it was asked to is reported under the reason for which it was asked.
    """
    if told is not None and told.kind is not OutcomeKind.CANCELLED:
        return told
    if held.stop_reason is not None:
        return _stopped(held.grant, held.stop_reason, held.stop_detail, use if told is None else told.use)
    if told is not None:
        message = "the attempt's process was told to stop by someone on its host"
        return failed(held.grant, Failure("interrupted", message, retryable=True), told.use)
    message = "the attempt's process is gone and left no result" + (f" ({detail})" if detail else "")
    hint = "it was killed, ran out of memory or crashed: see its output and the host's kernel log"
    return failed(held.grant, Failure("child_lost", message, hint, retryable=True), use)


def _stopped(grant: Grant, reason: StopReason, detail: str, use: ResourceUse) -> Outcome:
    message, hint = STOP_MESSAGES[reason]
    if detail:
        message = f"{message}: {detail}"
    kind = {StopReason.CANCELLED: OutcomeKind.CANCELLED, StopReason.EVICTED: OutcomeKind.FENCED}.get(
        reason, OutcomeKind.FAILED
    )
    failure = Failure(reason.value, message, hint, retryable=kind is OutcomeKind.FAILED)
    return Outcome(grant.attempt_id, grant.fence, kind, failure=failure, use=use)
