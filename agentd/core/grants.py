"""Values that travel through the agent: what was granted, how far it is, and how it ended."""

from dataclasses import dataclass, field
from enum import StrEnum

from agentd.core.release_state import HostFacts


class Direction(StrEnum):
    """Which way a step is done."""

    FORWARD = "forward"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class Grant:
    """Exclusive right to try a step, as it came over the wire. Durations are seconds; 0 means no limit."""

    attempt_id: str
    step_id: str
    migration_id: str
    step_name: str
    kind: str
    number: int
    fence: int
    target: str
    ttl_s: float
    direction: Direction = Direction.FORWARD
    params: bytes = b""
    forward_result: bytes = b""
    start_to_finish_s: float = 0.0
    progress_s: float = 0.0
    evict_attempt_ids: tuple[str, ...] = ()
    discard_changes: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt is; only a growing `watermark` counts as progress. `total` 0 means unknown."""

    watermark: int = 0
    total: int = 0
    done_bytes: int = 0
    stage: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt did not succeed, fit for a person. Holds no secret.

    `unreachable`: what the step needs was away, which says nothing about the step's own work."""

    code: str
    message: str
    hint: str = ""
    retryable: bool = False
    unreachable: bool = False


@dataclass(frozen=True, slots=True)
class ResourceUse:
    """What one attempt used, over its whole process group. `memory_limit_bytes` is what the host's kernel held it to, 0
    where it did not."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    rss_bytes_max: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    memory_limit_bytes: int = 0


class OutcomeKind(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    FENCED = "fenced"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an attempt: the report that is sent again until it is acknowledged."""

    attempt_id: str
    fence: int
    kind: OutcomeKind
    result: bytes = b""
    failure: Failure | None = None
    use: ResourceUse = field(default_factory=ResourceUse)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this agent offers under its host's policy and configuration.

    `kinds_known` is false until the runner host has told which step kinds are installed; until then a grant waits."""

    kinds: tuple[str, ...]
    datastores: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]
    slots: int
    kinds_known: bool = True


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this process lifetime is. `incarnation` rises by one with each start of the daemon; `state_place` tells its
    state directory from every copy."""

    incarnation: int
    agent_version: str
    boot_id: str
    facts: HostFacts = field(default_factory=HostFacts)
    state_place: str = ""


@dataclass(frozen=True, slots=True)
class Recovered:
    """An attempt found in the journal at start; `outcome` is None where it had not ended.

    `boot_id` is the boot in which the grant was journalled, "" where that is not known or the journal is a copy."""

    grant: Grant
    outcome: Outcome | None = None
    boot_id: str = ""

    def may_begin(self, boot_id: str) -> bool:
        """Whether a daemon of this boot may begin the attempt, should no process of it be found.

        After a boot, or where the journal was copied, another machine or another daemon may have begun it already."""
        return self.boot_id == boot_id != ""


@dataclass(frozen=True, slots=True)
class SessionId:
    """One session of one incarnation. Whatever arrives under another id is stale and ignored."""

    incarnation: int
    number: int


@dataclass(frozen=True, slots=True)
class HeldSummary:
    """An attempt that is still held, as Hello and Heartbeat name it."""

    attempt_id: str
    fence: int
    watermark: int


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """News of one running attempt. `started` is true in the first news after the child runs."""

    attempt_id: str
    fence: int
    progress: Progress
    started: bool = False


@dataclass(frozen=True, slots=True)
class HostSample:
    """Load of all cores since the last sample (0 to 1), and bytes."""

    cpu_fraction: float
    memory_used_bytes: int
    memory_total_bytes: int
    disk_free_bytes: int
    agent_rss_bytes: int
    agent_cpu_cores: float = 0.0  # of the daemon and its children
