"""What happened, told to `Agent.handle`. Past tense; instants are seconds of CLOCK_BOOTTIME."""

from dataclasses import dataclass

from agentd.core.grants import Capabilities, Grant, Outcome, Progress, ResourceUse, SessionId
from agentd.core.release_state import HostRelease, Wish
from agentd.core.witnessing import ShownHead


@dataclass(frozen=True, slots=True)
class Started:
    """The daemon runs and its journal is loaded. Given once, first."""


@dataclass(frozen=True, slots=True)
class Ticked:
    """`Agent.wake_at` has come (or any earlier moment: a spare tick is harmless)."""


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """Welcome arrived in answer to our Hello."""

    session: SessionId
    heartbeat_s: float
    disconnected_max_s: float
    # Seconds until the identity that opened it is to be renewed; 0 means never.
    renew_in_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """A dial failed or a session ended. `jitter` is a fresh random number in [0, 1).

    `refused` says that the control plane rejected who we are: dialling again soon cannot help."""

    session: SessionId
    reason: str
    jitter: float
    refused: bool = False


@dataclass(frozen=True, slots=True)
class ReportSent:
    """A message is about to be written: `sent_at` was read before the first byte left."""

    session: SessionId
    sequence: int
    sent_at: float


@dataclass(frozen=True, slots=True)
class LeaseGranted:
    """The control plane leased us a step."""

    session: SessionId
    grant: Grant


@dataclass(frozen=True, slots=True)
class LeaseRenewed:
    """A lease goes on for `ttl_s` counted from when the message `asked_in_sequence` was sent."""

    session: SessionId
    attempt_id: str
    fence: int
    ttl_s: float
    asked_in_sequence: int


@dataclass(frozen=True, slots=True)
class ResultAcknowledged:
    """The control plane holds this result durably."""

    session: SessionId
    attempt_id: str


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """Stop this attempt."""

    session: SessionId
    attempt_id: str
    fence: int
    reason: str


@dataclass(frozen=True, slots=True)
class DrainAsked:
    """Finish what is held, take nothing new."""

    reason: str


@dataclass(frozen=True, slots=True)
class ResumeAsked:
    """Take work again."""


@dataclass(frozen=True, slots=True)
class RenewalAsked:
    """The control plane wants us to renew our identity now."""

    reason: str


@dataclass(frozen=True, slots=True)
class CandidateReceived:
    """A new identity lies beside the one in use, and nobody has tried it yet."""


@dataclass(frozen=True, slots=True)
class CandidateFailed:
    """No new identity could be had, or it could not be put in place. `jitter` is a random number in [0, 1)."""

    reason: str
    jitter: float


@dataclass(frozen=True, slots=True)
class HeadShown:
    """The control plane showed a head of its audit log."""

    session: SessionId
    shown: ShownHead


@dataclass(frozen=True, slots=True)
class SignaturesChecked:
    """Whether the word that began an era of the audit log, and the head shown with it, are signed."""

    shown: ShownHead
    are_good: bool


@dataclass(frozen=True, slots=True)
class AttemptJournalled:
    """The intent to run this attempt survives a crash from now on."""

    attempt_id: str


@dataclass(frozen=True, slots=True)
class OutcomeRecorded:
    """The outcome of this attempt survives a crash from now on."""

    attempt_id: str


@dataclass(frozen=True, slots=True)
class ChildStarted:
    """The attempt's process runs."""

    attempt_id: str


@dataclass(frozen=True, slots=True)
class ChildAdopted:
    """The attempt's process, started by an earlier incarnation, still runs since `started_at`."""

    attempt_id: str
    started_at: float
    progress: Progress


@dataclass(frozen=True, slots=True)
class ChildProgressed:
    """The attempt's process reported how far it is."""

    attempt_id: str
    progress: Progress


@dataclass(frozen=True, slots=True)
class ChildEnded:
    """No process of this attempt is left. `outcome` is None where it left no result behind."""

    attempt_id: str
    outcome: Outcome | None
    use: ResourceUse
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ConfigReloaded:
    """The host's configuration or policy changed."""

    capabilities: Capabilities


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The host wants the daemon to end; short steps get `drain_s` to finish, longer ones live on. Asked
    a second time, the daemon ends at once."""

    drain_s: float


@dataclass(frozen=True, slots=True)
class UpgradeAsked:
    """A rollout wants this host to be at a release."""

    wish: Wish


@dataclass(frozen=True, slots=True)
class UpgradeTakenBack:
    """A rollout takes its wish back, as far as the switch has not begun."""

    rollout_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class FetchProgressed:
    """So many bytes of the artefact are on this host."""

    digest: str
    fetched_bytes: int


@dataclass(frozen=True, slots=True)
class ReleaseFetched:
    """All of the artefact and its metadata are on this host."""

    digest: str


@dataclass(frozen=True, slots=True)
class FetchFailed:
    """What was wanted did not come; `retryable` where it may come later."""

    digest: str
    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class UpdaterTold:
    """The updater left word of how this host is."""

    status: HostRelease


@dataclass(frozen=True, slots=True)
class BlackBoxStored:
    """The control plane has the black box of the upgrade that this request asked for."""

    request_id: str


SessionEvent = (
    SessionOpened | SessionClosed | ReportSent | LeaseGranted | LeaseRenewed | ResultAcknowledged | CancelAsked
)
WitnessEvent = HeadShown | SignaturesChecked
RenewalEvent = RenewalAsked | CandidateReceived | CandidateFailed
ChildEvent = ChildStarted | ChildAdopted | ChildProgressed | ChildEnded
UpgradeEvent = (
    UpgradeAsked | UpgradeTakenBack | FetchProgressed | ReleaseFetched | FetchFailed | UpdaterTold | BlackBoxStored
)
Event = (
    Started
    | Ticked
    | SessionEvent
    | ChildEvent
    | UpgradeEvent
    | DrainAsked
    | ResumeAsked
    | RenewalEvent
    | WitnessEvent
    | AttemptJournalled
    | OutcomeRecorded
    | ConfigReloaded
    | StopAsked
)
