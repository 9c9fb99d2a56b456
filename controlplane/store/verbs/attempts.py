"""Attempts, and the leases that running ones are."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from controlplane.core.model import Attempt, Failure, Step, Use


class AttemptedStep(NamedTuple):
    """An attempt with its step."""

    attempt: Attempt
    step: Step


class AttemptReport(NamedTuple):
    """An attempt with all that it reported."""

    attempt: Attempt
    agent_name: str  # empty where the agent is unknown
    started_at: float | None  # None until its agent says that it runs
    watermark: int
    total: int
    done_bytes: int
    stage: str
    failure: Failure | None
    use: Use | None


class LiveRow(NamedTuple):
    """A running attempt with the limits of its step, to rebuild the in-memory leases after a start."""

    attempt: Attempt
    moved_at: float  # when its watermark last moved
    watermark: int
    start_to_finish_s: float  # 0: no limit
    progress_s: float  # 0: no limit


class Flush(NamedTuple):
    """What a heartbeat changed in memory and a flush makes durable."""

    attempt_id: str
    fence: int
    expires_at: float
    moved_at: float
    watermark: int
    total: int
    done_bytes: int
    stage: str
    started_at: float | None


class Heard(NamedTuple):
    """When an agent was last heard, and what it measured then."""

    at: float
    sample: str  # JSON; empty: it measured nothing new


class AttemptVerbs(Protocol):
    """Attempts, live leases and the fences of targets."""

    def attempts(self, attempt_ids: Sequence[str]) -> dict[str, Attempt]:
        """Return attempts by id; one that does not exist is left out."""
        ...

    def attempts_with_steps(self, attempt_ids: Sequence[str]) -> dict[str, AttemptedStep]:
        """Return attempts by id, each with its step; one that does not exist is left out."""
        ...

    def attempts_of_migration(self, migration_id: str) -> list[Attempt]:
        """Return every attempt of a migration, by id of the step, then by number."""
        ...

    def attempt_reports(self, migration_id: str) -> list[AttemptReport]:
        """Return every attempt of a migration with all that it reported, by id of the step, then by number."""
        ...

    def all_attempts(self) -> Iterator[Attempt]:
        """Stream every attempt that is here, in the order of their grants; to be read within the call."""
        ...

    def live_count(self, agent_id: str) -> int:
        """Return how many leases an agent holds."""
        ...

    def live_counts(self) -> dict[str, int]:
        """Return agent id → how many leases it holds; an agent without any is left out."""
        ...

    def live_classes(self) -> list[str]:
        """Return the placement class of each live lease, one entry a lease."""
        ...

    def live_rows(self) -> list[LiveRow]:
        """Return every live lease with its limits."""
        ...

    def live_of_agent(self, agent_id: str) -> list[Attempt]:
        """Return the live leases of one agent, the oldest grant first."""
        ...

    def live_of_migration(self, migration_id: str) -> dict[str, Attempt]:
        """Return step id → its live lease; a step without one is left out."""
        ...

    def live_on_target(self, target: str) -> Attempt | None:
        """Return the live writer of a target; there is one at most (promise L2)."""
        ...

    def fences(self) -> dict[str, int]:
        """Return target → the highest fence ever granted for it."""
        ...

    def unseen_end(self, target: str) -> float | None:
        """Return when the last attempt on a target ended whose end nobody saw; None when there is none."""
        ...

    def unconfirmed(self, target: str, limit: int) -> list[str]:
        """Return at most ``limit`` attempts on a target whose end nobody saw, the newest grant first."""
        ...

    def flush(self, rows: Sequence[Flush], heard: Mapping[str, Heard]) -> None:
        """Make durable what heartbeats renewed, and by agent id when it was heard.

        A row of an attempt that has ended, or under another fence, is passed over on purpose; the first ``started_at``
        of an attempt stays, and so does an agent's sample when the new one is empty.
        """
        ...

    def adopt(self, attempt_id: str, incarnation: int) -> None:
        """Record that a newer life of its agent has taken over a running attempt; an older life changes nothing."""
        ...

    def extend_all(self, expires_at: float) -> None:
        """Give every live lease at least until ``expires_at``; none gets shorter."""
        ...
