"""What should happen next, returned by `Agent.handle`. Imperative; the daemon (or a simulator) carries it
out."""

from dataclasses import dataclass, field

from agentd.core.grants import (
    Capabilities,
    Grant,
    HeldSummary,
    Identity,
    Outcome,
    ProgressReport,
    SessionId,
)
from agentd.core.release_state import HostRelease, Request, Wish
from agentd.core.witnessing import ShownHead, TreeHead


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Dial now and say Hello. Answer: SessionOpened or SessionClosed under the same id."""

    session: SessionId
    identity: Identity
    capabilities: Capabilities
    held: tuple[HeldSummary, ...]
    draining: bool
    # True to show the identity that was received last and is not in place yet.
    candidate: bool = False
    release: HostRelease = field(default_factory=HostRelease)
    witnessed: TreeHead | None = None


@dataclass(frozen=True, slots=True)
class CloseSession:
    """Hang up. Answer: SessionClosed."""

    session: SessionId
    reason: str


@dataclass(frozen=True, slots=True)
class SendReport:
    """Put this into the next message of the session; merges with whatever still waits unsent.

    With `heartbeat`, `held` names the leases to renew. `release` is set when it changed.
    Answer: ReportSent for each message that carries any of it.
    """

    session: SessionId
    heartbeat: bool = False
    held: tuple[HeldSummary, ...] = ()
    progress: tuple[ProgressReport, ...] = ()
    results: tuple[Outcome, ...] = ()
    release: HostRelease | None = None
    witnessed: TreeHead | None = None


@dataclass(frozen=True, slots=True)
class JournalIntent:
    """Make the grant durable before anything is done about it, with the boot in which it came.

    Answer: AttemptJournalled."""

    grant: Grant
    boot_id: str = ""


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """Make the outcome durable before anyone is told. Answer: OutcomeRecorded."""

    grant: Grant
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class MarkDraining:
    """Remember across restarts whether the agent drains. No answer."""

    draining: bool


@dataclass(frozen=True, slots=True)
class ForgetAttempt:
    """Drop the attempt from the journal and its directory from the host. No answer."""

    attempt_id: str


@dataclass(frozen=True, slots=True)
class StartChild:
    """Evict the attempts that the grant names, then run the step. Answer: ChildStarted or ChildEnded."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class AdoptChild:
    """Find the process of an attempt that an earlier incarnation started. Where that incarnation ended before there was
    one, begin the attempt if it `may_begin`, and give it up otherwise. Answer: ChildAdopted, ChildStarted or
    ChildEnded."""

    grant: Grant
    may_begin: bool = False


@dataclass(frozen=True, slots=True)
class StopChild:
    """Stop the whole process group: ask, wait the grace, kill; with `at_once` kill without asking.

    Answer: ChildEnded when no process is left."""

    attempt_id: str
    reason: str
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class WriteDeadline:
    """Tell the child until when it may do unfenced or destructive work (`deadline_at`), and when even
    fenced work must end (`disconnected_at`). No answer."""

    attempt_id: str
    deadline_at: float
    disconnected_at: float


@dataclass(frozen=True, slots=True)
class RequestIdentity:
    """Make a new key, ask for a certificate for it, and lay both beside what is in use. Answer: CandidateReceived or
    CandidateFailed."""


@dataclass(frozen=True, slots=True)
class KeepIdentity:
    """The candidate has opened a session: put it in place of the old identity. Answer: CandidateFailed, or none."""


@dataclass(frozen=True, slots=True)
class DropCandidate:
    """The candidate opened nothing: forget it; the old identity goes on. No answer."""


@dataclass(frozen=True, slots=True)
class KeepHead:
    """Make the newest head of the audit log that we saw durable. No answer."""

    head: TreeHead


@dataclass(frozen=True, slots=True)
class CheckSignatures:
    """Check the signatures under the beginning of an era of the audit log. Answer: SignaturesChecked."""

    shown: ShownHead


@dataclass(frozen=True, slots=True)
class Alarm:
    """Tell the host's log as loudly as it goes. No answer."""

    message: str


@dataclass(frozen=True, slots=True)
class Note:
    """Tell the host's log. No answer."""

    message: str
    attempt_id: str = ""


@dataclass(frozen=True, slots=True)
class RememberWish:
    """Write a wish for a release down, so that the next daemon knows it. No answer."""

    wish: Wish


@dataclass(frozen=True, slots=True)
class ForgetWish:
    """There is no wish any more: the updater is asked nothing. No answer."""


@dataclass(frozen=True, slots=True)
class FetchRelease:
    """Fetch what a wish names, beside everything else. Answer: FetchProgressed, then ReleaseFetched or FetchFailed."""

    wish: Wish


@dataclass(frozen=True, slots=True)
class StopFetching:
    """Fetch no further. No answer."""


@dataclass(frozen=True, slots=True)
class AskUpdater:
    """Leave a request for the updater. Answer: UpdaterTold, whenever it has something to say."""

    request: Request


@dataclass(frozen=True, slots=True)
class Finish:
    """End the daemon; children that still run live on. No answer."""


Effect = (
    OpenSession
    | CloseSession
    | SendReport
    | JournalIntent
    | RecordOutcome
    | MarkDraining
    | ForgetAttempt
    | StartChild
    | AdoptChild
    | StopChild
    | WriteDeadline
    | RequestIdentity
    | KeepIdentity
    | DropCandidate
    | RememberWish
    | ForgetWish
    | FetchRelease
    | StopFetching
    | AskUpdater
    | KeepHead
    | CheckSignatures
    | Alarm
    | Note
    | Finish
)
