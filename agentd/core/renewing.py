"""When this agent renews its identity, and which one it shows: candidate, verified by a session, kept or dropped."""

from enum import StrEnum

from agentd.core import effects, events
from agentd.core.effects import Effect

# The wait after a failed renewal doubles from the first to the longest; the old identity is good for hours.
FIRST_S = 5.0
MAX_S = 600.0


class RenewalStage(StrEnum):
    """Where the renewal is."""

    AT_REST = "at rest"
    REQUESTED = "requested"
    RECEIVED = "received"  # the candidate waits for its session
    VERIFYING = "verifying"  # the dial that is under way shows the candidate


class Renewing:
    """One agent's renewal. Instants are CLOCK_BOOTTIME in seconds."""

    def __init__(self) -> None:
        self.stage = RenewalStage.AT_REST
        #: When to ask for a new identity; only at rest, and None where the present one needs none.
        self.due_at: float | None = None
        #: Tries in a row that failed; lengthens the wait before the next, and 0 once a candidate was verified.
        self._failures = 0

    def is_due(self, now: float) -> bool:
        """Whether to ask for a new identity now."""
        return self.stage is RenewalStage.AT_REST and self.due_at is not None and now >= self.due_at

    def request(self) -> Effect:
        """Ask for a new identity."""
        self.stage, self.due_at = RenewalStage.REQUESTED, None
        return effects.RequestIdentity()

    def handle(self, event: events.RenewalEvent, now: float) -> list[Effect]:
        """Take in what was asked, or what came of a request."""
        if isinstance(event, events.CandidateFailed):
            self._failed(now, event.jitter)
            return [effects.Note(f"the identity was not renewed: {event.reason}")]
        if isinstance(event, events.CandidateReceived):
            # Should its dial find nobody at home, the one after that shows the old identity again.
            self.stage = RenewalStage.RECEIVED
            return []
        if self.stage is not RenewalStage.AT_REST:
            return []
        self.due_at = now
        return [effects.Note(f"the identity is renewed: {event.reason}")]

    def dialled(self) -> bool:
        """A dial begins; return whether it shows the candidate."""
        if self.stage is RenewalStage.RECEIVED:
            self.stage = RenewalStage.VERIFYING
        return self.stage is RenewalStage.VERIFYING

    def opened(self, now: float, renew_in_s: float) -> list[Effect]:
        """A session opened, with the candidate or with the old identity."""
        verified = self.stage is RenewalStage.VERIFYING
        if verified:
            self.stage, self._failures = RenewalStage.AT_REST, 0
        if self.stage is RenewalStage.AT_REST and not self._failures:
            self.due_at = now + renew_in_s if renew_in_s > 0 else None
        return [effects.KeepIdentity()] if verified else []

    def closed(self, event: events.SessionClosed, now: float) -> list[Effect]:
        """A session ended or did not begin; an empty list unless that was the candidate's trial."""
        if self.stage is not RenewalStage.VERIFYING:
            return []
        self._failed(now, event.jitter)
        return [effects.DropCandidate()]

    def _failed(self, now: float, jitter: float) -> None:
        wait_s = min(MAX_S, FIRST_S * 2.0 ** min(self._failures, 16))
        self._failures += 1
        self.stage, self.due_at = RenewalStage.AT_REST, now + wait_s * (0.5 + 0.5 * jitter)
