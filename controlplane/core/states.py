"""States as text, and one transition table per machine: what is not in a table is invalid.

Keys are ``(state, event type)``; the event types are those of ``events.py``. ``doctor`` folds the event log
through the same tables and compares the outcome with the rows (promise C3).
"""

from enum import StrEnum


class MigrationState(StrEnum):
    """Where one dataset's move stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    RESTORING = "restoring"  # its proof failed: putting back what was there before, on the way to failed
    FAILED = "failed"  # a person decides: retry, rollback, accept or abandon
    CANCELLING = "cancelling"  # undoing what may have been written, on the way to cancelled
    CANCELLED = "cancelled"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    STUCK = "stuck"  # undo failed: a person decides; the source is untouched
    SUPERSEDED = "superseded"  # another migration has published over it
    ACCEPTED = "accepted"  # a person said that what is at the destination is right
    ABANDONED = "abandoned"  # a person gave it up; the destination was left as it is


WAITING = "waiting"


class StepState(StrEnum):
    """Where one step stands, in the direction its row names."""

    BLOCKED = "blocked"
    READY = "ready"
    LEASED = "leased"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"  # never granted, so there is nothing to undo
    UNDONE = "undone"
    STUCK = "stuck"


class AttemptState(StrEnum):
    """How one try under one lease stands; ``running`` is the live lease itself."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    FENCED = "fenced"


class AgentState(StrEnum):
    """What an agent is asked to do."""

    SERVING = "serving"
    DRAINING = "draining"
    REVOKED = "revoked"  # a person took its identity away; it comes back by joining again
    CLONED = "cloned"  # two machines, or two daemons on one host, showed its identity: neither keeps it
    GONE = "gone"  # decommissioned; only its past is left


class Liveness(StrEnum):
    """What is believed of an agent, apart from its state."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    LOST = "lost"


class Direction(StrEnum):
    """Which way a step is done."""

    FORWARD = "forward"
    UNDO = "undo"


M, S, A, G, L = MigrationState, StepState, AttemptState, AgentState, Liveness

MIGRATION_TRANSITIONS: dict[tuple[MigrationState | None, str], MigrationState] = {
    (None, "MigrationStarted"): M.RUNNING,
    (M.RUNNING, "MigrationSucceeded"): M.SUCCEEDED,
    (M.RUNNING, "MigrationFailed"): M.FAILED,
    (M.FAILED, "MigrationRetried"): M.RUNNING,
    (M.RUNNING, "MigrationCancelAsked"): M.CANCELLING,
    (M.FAILED, "MigrationCancelAsked"): M.CANCELLING,
    (M.RUNNING, "MigrationRollbackAsked"): M.ROLLING_BACK,
    (M.FAILED, "MigrationRollbackAsked"): M.ROLLING_BACK,
    (M.SUCCEEDED, "MigrationRollbackAsked"): M.ROLLING_BACK,
    (M.CANCELLING, "MigrationCancelled"): M.CANCELLED,
    (M.ROLLING_BACK, "MigrationRolledBack"): M.ROLLED_BACK,
    (M.CANCELLING, "MigrationStuck"): M.STUCK,
    (M.ROLLING_BACK, "MigrationStuck"): M.STUCK,
    (M.STUCK, "MigrationUndoRetried"): M.ROLLING_BACK,
    (M.RUNNING, "MigrationRefuted"): M.RESTORING,
    (M.RESTORING, "MigrationFailed"): M.FAILED,
    (M.RESTORING, "MigrationStuck"): M.STUCK,
    (M.RESTORING, "MigrationCancelAsked"): M.CANCELLING,
    (M.RESTORING, "MigrationRollbackAsked"): M.ROLLING_BACK,
    (M.STUCK, "MigrationRestoreRetried"): M.RESTORING,
    (M.FAILED, "MigrationAccepted"): M.ACCEPTED,
    (M.STUCK, "MigrationAccepted"): M.ACCEPTED,
    (M.FAILED, "MigrationAbandoned"): M.ABANDONED,
    (M.STUCK, "MigrationAbandoned"): M.ABANDONED,
    (M.RUNNING, "MigrationSuperseded"): M.SUPERSEDED,
    (M.RESTORING, "MigrationSuperseded"): M.SUPERSEDED,
    (M.CANCELLING, "MigrationSuperseded"): M.SUPERSEDED,
    (M.ROLLING_BACK, "MigrationSuperseded"): M.SUPERSEDED,
    (M.FAILED, "MigrationSuperseded"): M.SUPERSEDED,
    (M.STUCK, "MigrationSuperseded"): M.SUPERSEDED,
    # Once whoever published over it has been rolled back, its own content is what is there again.
    (M.SUPERSEDED, "MigrationRollbackAsked"): M.ROLLING_BACK,
}

STEP_TRANSITIONS: dict[tuple[StepState | None, str], StepState] = {
    (None, "StepPlanned"): S.BLOCKED,
    (S.BLOCKED, "StepReadied"): S.READY,
    (S.READY, "LeaseGranted"): S.LEASED,
    (S.LEASED, "StepSucceeded"): S.SUCCEEDED,
    (S.LEASED, "StepUndone"): S.UNDONE,
    (S.LEASED, "StepReadied"): S.READY,
    (S.LEASED, "StepFailed"): S.FAILED,
    (S.READY, "StepFailed"): S.FAILED,
    (S.BLOCKED, "StepFailed"): S.FAILED,
    (S.LEASED, "StepStuck"): S.STUCK,
    (S.READY, "StepStuck"): S.STUCK,
    (S.FAILED, "StepReadied"): S.READY,
    (S.STUCK, "StepReadied"): S.READY,
    # Undo starts from wherever the forward direction stood.
    (S.BLOCKED, "StepCancelled"): S.CANCELLED,
    (S.READY, "StepCancelled"): S.CANCELLED,
    (S.FAILED, "StepCancelled"): S.CANCELLED,
    # A step that declares that it leaves nothing behind needs no undo even after it ran.
    (S.LEASED, "StepCancelled"): S.CANCELLED,
    (S.SUCCEEDED, "StepCancelled"): S.CANCELLED,
    (S.READY, "StepUndoPlanned"): S.BLOCKED,
    (S.BLOCKED, "StepUndoPlanned"): S.BLOCKED,
    (S.LEASED, "StepUndoPlanned"): S.BLOCKED,
    (S.SUCCEEDED, "StepUndoPlanned"): S.BLOCKED,
    (S.FAILED, "StepUndoPlanned"): S.BLOCKED,
    (S.STUCK, "StepUndoPlanned"): S.BLOCKED,
    # A retry that begins again plans every step anew.
    (S.SUCCEEDED, "StepReplanned"): S.BLOCKED,
    (S.FAILED, "StepReplanned"): S.BLOCKED,
    (S.UNDONE, "StepReplanned"): S.BLOCKED,
    (S.CANCELLED, "StepReplanned"): S.BLOCKED,
}

ATTEMPT_TRANSITIONS: dict[tuple[AttemptState | None, str], AttemptState] = {
    (None, "LeaseGranted"): A.RUNNING,
    (A.RUNNING, "StepSucceeded"): A.SUCCEEDED,
    (A.RUNNING, "StepUndone"): A.SUCCEEDED,
    (A.RUNNING, "AttemptFailed"): A.FAILED,
    (A.RUNNING, "AttemptCancelled"): A.CANCELLED,
    (A.RUNNING, "AttemptFenced"): A.FENCED,
    (A.RUNNING, "LeaseExpired"): A.LOST,
}

AGENT_TRANSITIONS: dict[tuple[AgentState | None, str], AgentState] = {
    (None, "AgentJoined"): G.SERVING,
    (G.SERVING, "AgentDrained"): G.DRAINING,
    (G.DRAINING, "AgentResumed"): G.SERVING,
    (G.SERVING, "AgentRevoked"): G.REVOKED,
    (G.DRAINING, "AgentRevoked"): G.REVOKED,
    (G.CLONED, "AgentRevoked"): G.REVOKED,
    (G.SERVING, "AgentCloned"): G.CLONED,
    (G.DRAINING, "AgentCloned"): G.CLONED,
    # It drains no longer: whoever lets a host join again wants it to work.
    (G.SERVING, "AgentRejoined"): G.SERVING,
    (G.DRAINING, "AgentRejoined"): G.SERVING,
    (G.REVOKED, "AgentRejoined"): G.SERVING,
    (G.CLONED, "AgentRejoined"): G.SERVING,
    (G.SERVING, "AgentDecommissioned"): G.GONE,
    (G.DRAINING, "AgentDecommissioned"): G.GONE,
    (G.REVOKED, "AgentDecommissioned"): G.GONE,
    (G.CLONED, "AgentDecommissioned"): G.GONE,
}

LIVENESS_TRANSITIONS: dict[tuple[Liveness | None, str], Liveness] = {
    (None, "AgentJoined"): L.LOST,  # joined, but its daemon has not called yet
    (L.LOST, "AgentConnected"): L.ALIVE,
    (L.SUSPECT, "AgentConnected"): L.ALIVE,
    (L.ALIVE, "AgentConnected"): L.ALIVE,
    (L.ALIVE, "AgentSuspected"): L.SUSPECT,
    # Heard again on a stream that was never closed: a host that was paused, or a late heartbeat.
    (L.SUSPECT, "AgentHeard"): L.ALIVE,
    (L.LOST, "AgentHeard"): L.ALIVE,
    (L.SUSPECT, "AgentLost"): L.LOST,
    (L.ALIVE, "AgentLost"): L.LOST,
    (L.ALIVE, "AgentDecommissioned"): L.LOST,
    (L.SUSPECT, "AgentDecommissioned"): L.LOST,
    (L.LOST, "AgentDecommissioned"): L.LOST,
}

# Agents whose identity opens nothing.
AGENT_BARRED = frozenset({G.REVOKED, G.CLONED, G.GONE})
# What has work before it, forward or back; anything else stands still until somebody asks.
MIGRATION_UNDOING = frozenset({M.RESTORING, M.CANCELLING, M.ROLLING_BACK})
MIGRATION_MOVING = MIGRATION_UNDOING | {M.RUNNING}
MIGRATION_ENDED = frozenset({M.SUCCEEDED, M.CANCELLED, M.ROLLED_BACK, M.SUPERSEDED, M.ACCEPTED, M.ABANDONED})
MIGRATION_ASKS_A_PERSON = frozenset({M.FAILED, M.STUCK})
# Ends after which a migration holds its destination no longer: another dataset may go there.
MIGRATION_LEFT_PLACE = frozenset({M.CANCELLED, M.ROLLED_BACK, M.SUPERSEDED, M.ABANDONED})
STEP_UNFINISHED = frozenset({S.BLOCKED, S.READY, S.LEASED})


class InvalidTransition(AssertionError):
    """A state met an event that its table does not list: always our own error, never a user's.

    ``subject`` is the id of whatever is in that state, "" where nobody said; a store adds its story, the newest events
    of that subject, as a note.
    """

    def __init__(self, message: str, subject: str = "") -> None:
        super().__init__(f"{subject}: {message}" if subject else message)
        self.subject = subject


def step_after(state: StepState | None, event: str, subject: str = "") -> StepState:
    """Return the step state after ``event``; raise ``InvalidTransition`` when the table has no such row.

    ``subject`` is the step's id, for the error; the same holds for the other machines.

    >>> step_after(StepState.READY, "LeaseGranted").value
    'leased'
    """
    try:
        return STEP_TRANSITIONS[state, event]
    except KeyError:
        raise InvalidTransition(f"a step that is {state} cannot meet {event}", subject) from None


def migration_after(state: MigrationState | None, event: str, subject: str = "") -> MigrationState:
    """Return the migration state after ``event``; raise ``InvalidTransition`` when there is no such row."""
    try:
        return MIGRATION_TRANSITIONS[state, event]
    except KeyError:
        raise InvalidTransition(f"a migration that is {state} cannot meet {event}", subject) from None


def agent_after(state: AgentState | None, event: str, subject: str = "") -> AgentState:
    """Return the agent's state after ``event``; raise ``InvalidTransition`` when there is no such row."""
    try:
        return AGENT_TRANSITIONS[state, event]
    except KeyError:
        raise InvalidTransition(f"an agent that is {state} cannot meet {event}", subject) from None


def liveness_after(liveness: Liveness | None, event: str, subject: str = "") -> Liveness:
    """Return what is believed of an agent after ``event``; raise ``InvalidTransition`` when there is no such row."""
    try:
        return LIVENESS_TRANSITIONS[liveness, event]
    except KeyError:
        raise InvalidTransition(f"an agent that is {liveness} cannot meet {event}", subject) from None


def shown_state(state: str, *, working: bool) -> str:
    """Return a migration's state as people see it: one that runs, while no attempt at its steps does, waits."""
    return WAITING if state == MigrationState.RUNNING and not working else str(state)
