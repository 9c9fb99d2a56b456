"""Writes to make, imperative: what a decision hands to the store.

Each kind of change is a guarded write: it names the state that it expects to find. The store applies the lists in
one transaction and raises ``Conflict`` when a guard found another state (promise L4).
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from controlplane.core.events import Event
from controlplane.core.model import Attempt, Failure, Use
from controlplane.core.states import AttemptState, Direction, MigrationState, StepState


class GrantLease(NamedTuple):
    """Insert a running attempt, raise its target's fence, lease its step."""

    attempt: Attempt
    queue_step_state: StepState  # what the step must still be


class EndAttempt(NamedTuple):
    """End the attempt that holds exactly this fence and still runs."""

    attempt_id: str
    fence: int
    state: AttemptState
    ended_at: float
    failure: Failure | None
    use: Use | None


class MoveStep(NamedTuple):
    """Bring a step from one state to another; by default it waits for nothing and has failed at nothing."""

    step_id: str
    from_state: StepState
    to_state: StepState
    direction: Direction
    ready_at: float = 0.0
    queue_deadline_at: float | None = None
    failures: int = 0
    reason_code: str = ""
    reason: str = ""
    hint: str = ""
    unreachable_since: float | None = None
    losses: int = 0


class KeepResult(NamedTuple):
    """Keep the result of a step that succeeded, or the proof of one that failed."""

    step_id: str
    result: bytes


class MoveMigration(NamedTuple):
    """Bring a migration from one state to another."""

    migration_id: str
    from_state: MigrationState
    to_state: MigrationState
    reason: str
    ended_at: float | None


@dataclass(slots=True)
class Changes:
    """Everything one decision wants written, in lists that the store writes set by set."""

    grants: list[GrantLease] = field(default_factory=list)
    ends: list[EndAttempt] = field(default_factory=list)
    step_moves: list[MoveStep] = field(default_factory=list)
    results: list[KeepResult] = field(default_factory=list)
    migration_moves: list[MoveMigration] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def extend(self, other: "Changes") -> None:
        """Append another decision's changes after these."""
        self.grants += other.grants
        self.ends += other.ends
        self.step_moves += other.step_moves
        self.results += other.results
        self.migration_moves += other.migration_moves
        self.events += other.events
