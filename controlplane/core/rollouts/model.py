"""Rollouts as immutable values, and the tables of their states.

Two clocks are met here. Names in ``_at`` are instants of the control plane; names in ``_healthy_s`` are seconds of the
rollout's own clock, which stands still while the control plane is away, busy or just back: what a host could not tell
us then is not held against it (promise U7).
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from controlplane.core.hosts import Running
from controlplane.core.rollouts.windows import Window
from controlplane.core.states import InvalidTransition


class RolloutState(StrEnum):
    """Where one rollout stands."""

    PROPOSED = "proposed"  # a person starts it
    RUNNING = "running"
    PAUSED = "paused"
    HALTED = "halted"  # stopped by itself; the cause is named
    CANCELLED = "cancelled"
    SUCCEEDED = "succeeded"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"


class HostState(StrEnum):
    """Where one host stands in one rollout."""

    WAITING = "waiting"
    ASKED = "asked"
    FETCHING = "fetching"
    STAGED = "staged"
    PROBATION = "probation"
    UNDECIDED = "undecided"  # on probation, and what is missing for a verdict is not the release's fault
    HELD = "held"  # not switched yet, and what it waits for is not the release's fault
    KEPT = "kept"
    FAILED = "failed"
    CANCELLED = "cancelled"  # taken back before its switch
    RETURNING = "returning"  # asked to go back to the release it had
    RETURNED = "returned"


class HostEvent(StrEnum):
    """What happens to one host in one rollout: what it says, or what is decided about it."""

    # It says.
    FETCHES = "fetches"
    HAS_STAGED = "has_staged"
    ON_PROBATION = "on_probation"
    CANNOT_DECIDE = "cannot_decide"
    HOLDS = "holds"
    KEEPS = "keeps"
    WENT_BACK = "went_back"  # by itself, after it had been kept
    OWNER_DECLINES = "owner_declines"
    FAILS = "fails"  # refused it, or rolled it back
    RETURNS = "returns"
    CANNOT_RETURN = "cannot_return"
    # It is decided.
    ASKED = "asked"
    TAKEN_BACK = "taken_back"
    ASKED_BACK = "asked_back"
    NOTHING_TO_RETURN_TO = "nothing_to_return_to"
    MISSING = "missing"
    OVERDUE = "overdue"
    ILL = "ill"  # kept, and it does not do well
    FORGIVEN = "forgiven"  # it did not go back, and is asked to once more


R, H, E = RolloutState, HostState, HostEvent

ROLLOUT_TRANSITIONS: dict[tuple[RolloutState | None, str], RolloutState] = {
    (None, "RolloutProposed"): R.PROPOSED,
    (R.PROPOSED, "RolloutStarted"): R.RUNNING,
    (R.RUNNING, "RolloutPaused"): R.PAUSED,
    (R.PAUSED, "RolloutResumed"): R.RUNNING,
    (R.HALTED, "RolloutResumed"): R.RUNNING,
    (R.RUNNING, "RolloutHalted"): R.HALTED,
    # Hosts that were away are brought to it late, and may show what no other did.
    (R.SUCCEEDED, "RolloutHalted"): R.HALTED,
    (R.ROLLING_BACK, "RolloutHalted"): R.HALTED,
    (R.RUNNING, "RolloutSucceeded"): R.SUCCEEDED,
    (R.PROPOSED, "RolloutCancelled"): R.CANCELLED,
    (R.RUNNING, "RolloutCancelled"): R.CANCELLED,
    (R.PAUSED, "RolloutCancelled"): R.CANCELLED,
    (R.HALTED, "RolloutCancelled"): R.CANCELLED,
    (R.RUNNING, "RolloutRollbackAsked"): R.ROLLING_BACK,
    (R.PAUSED, "RolloutRollbackAsked"): R.ROLLING_BACK,
    (R.HALTED, "RolloutRollbackAsked"): R.ROLLING_BACK,
    (R.CANCELLED, "RolloutRollbackAsked"): R.ROLLING_BACK,
    (R.SUCCEEDED, "RolloutRollbackAsked"): R.ROLLING_BACK,
    (R.ROLLING_BACK, "RolloutRolledBack"): R.ROLLED_BACK,
}

# On their way and not yet switched: a cancel takes these back.
UNSWITCHED = frozenset({H.ASKED, H.FETCHING, H.STAGED, H.HELD})
# Each takes one place of those that may be in flight at once.
MOVING = UNSWITCHED | {H.PROBATION, H.UNDECIDED, H.RETURNING}
# These may take as long as they need.
PATIENT = frozenset({H.HELD, H.UNDECIDED})
# States in which hosts are asked for something.
DISPATCHING = frozenset({R.RUNNING, R.SUCCEEDED, R.ROLLING_BACK, R.ROLLED_BACK})
# One of these of a Fleet makes room for the next rollout only by being cancelled.
OPEN = frozenset({R.PROPOSED, R.RUNNING, R.PAUSED, R.HALTED, R.ROLLING_BACK})


# States in which a host that was asked tells how far it is.
_HEARD_OF = (H.ASKED, H.FETCHING, H.STAGED, H.PROBATION, H.UNDECIDED, H.HELD)
_ALL_BUT_RETURNING = tuple(state for state in H if state is not H.RETURNING)

# What is said at any other state changes nothing there; what is decided at any other is our own error.
HOST_TRANSITIONS: dict[tuple[HostState, HostEvent], HostState] = {
    (H.WAITING, E.ASKED): H.ASKED,
    # It tells how far it is, in any order: words are lost and overtaken.
    **{(state, E.FETCHES): H.FETCHING for state in _HEARD_OF},
    **{(state, E.HAS_STAGED): H.STAGED for state in _HEARD_OF},
    **{(state, E.ON_PROBATION): H.PROBATION for state in _HEARD_OF},
    **{(state, E.CANNOT_DECIDE): H.UNDECIDED for state in _HEARD_OF},
    **{(state, E.HOLDS): H.HELD for state in _HEARD_OF},
    # A cancel may still be on its way; who has switched meanwhile goes on to its end.
    (H.CANCELLED, E.ON_PROBATION): H.PROBATION,
    (H.CANCELLED, E.CANNOT_DECIDE): H.UNDECIDED,
    # What failed at a gate stays failed, and what did not go back too.
    **{(state, E.KEEPS): H.KEPT for state in _ALL_BUT_RETURNING if state is not H.FAILED},
    (H.KEPT, E.WENT_BACK): H.FAILED,
    **{(state, E.OWNER_DECLINES): H.WAITING for state in (*_HEARD_OF, H.WAITING, H.KEPT, H.FAILED)},
    **{(state, E.FAILS): H.FAILED for state in (*_HEARD_OF, H.WAITING, H.KEPT, H.FAILED)},
    # Held and undecided hosts may take as long as they need.
    **{(state, E.MISSING): H.FAILED for state in (H.ASKED, H.FETCHING, H.STAGED, H.PROBATION, H.RETURNING, H.KEPT)},
    **{(state, E.OVERDUE): H.FAILED for state in (H.ASKED, H.FETCHING, H.STAGED, H.PROBATION, H.RETURNING)},
    (H.KEPT, E.ILL): H.FAILED,
    **{(state, E.TAKEN_BACK): H.CANCELLED for state in (H.ASKED, H.FETCHING, H.STAGED, H.HELD)},
    # Whoever runs the release is asked, whatever it has said of it.
    **{(state, E.ASKED_BACK): H.RETURNING for state in _ALL_BUT_RETURNING},
    **{(state, E.NOTHING_TO_RETURN_TO): H.FAILED for state in _ALL_BUT_RETURNING},
    (H.RETURNING, E.RETURNS): H.RETURNED,
    (H.RETURNING, E.CANNOT_RETURN): H.FAILED,
    (H.FAILED, E.FORGIVEN): H.KEPT,
}


def host_after(state: HostState, event: HostEvent, subject: str = "") -> HostState:
    """Return a host's state after ``event``; raise ``InvalidTransition`` when there is no such row."""
    try:
        return HOST_TRANSITIONS[state, event]
    except KeyError:
        raise InvalidTransition(f"a host of a rollout that is {state} cannot meet {event}", subject) from None


def rollout_after(state: RolloutState | None, event: str, subject: str = "") -> RolloutState:
    """Return the rollout's state after ``event``; raise ``InvalidTransition`` when there is no such row."""
    try:
        return ROLLOUT_TRANSITIONS[state, event]
    except KeyError:
        raise InvalidTransition(f"a rollout that is {state} cannot meet {event}", subject) from None


@dataclass(frozen=True, slots=True)
class RolloutPolicy:
    """How a rollout goes. Durations in seconds of its healthy clock, shares from 0 to 1."""

    waves: tuple[float, ...] = (0.05, 0.25, 1.0)  # share of all hosts reached after each that follows the canaries
    canaries_per_group: int = 1  # of each system, architecture and kind of datastore
    in_flight_max: int = 50
    soak_s: float = 600.0
    probation_s: float = 600.0
    missing_after_s: float = 600.0
    held_max_s: float = 3600.0
    upgrade_max_s: float = 3600.0  # from being asked to the switch
    failures_max: int = 2  # so many failed hosts halt it
    failed_share_max: float = 0.02  # so does a larger share of the hosts asked
    error_factor: float = 3.0  # error rate, as a multiple of the same hosts' past, that must not be reached
    slow_factor: float = 2.0  # the same of the duration of steps
    memory_bytes_max: int = 0  # resident memory of an agent and its children; 0: not looked at
    bytes_per_s_max: int = 0  # of one host fetching; 0: no limit
    windows: tuple[Window, ...] = ()  # empty: always
    time_zone: str = ""  # empty: each host's own
    return_on_halt: bool = True


class Artefact(NamedTuple):
    """The file of a release for one architecture."""

    architecture: str
    digest: str
    target_path: str
    min_from: str  # oldest version that may follow it; empty: any


class StepCounts(NamedTuple):
    """Steps that ended on a host: how many, how many failed, and the sums of their durations' logarithm and its square.

    ``timed`` counts those whose duration is known.
    """

    ended: int = 0
    failed: int = 0
    timed: int = 0
    log_sum: float = 0.0
    log_square_sum: float = 0.0

    def plus(self, other: "StepCounts") -> "StepCounts":
        """Add up two counts.

        >>> StepCounts(2, 1).plus(StepCounts(3, 0)).ended
        5
        """
        return StepCounts(
            self.ended + other.ended,
            self.failed + other.failed,
            self.timed + other.timed,
            self.log_sum + other.log_sum,
            self.log_square_sum + other.log_square_sum,
        )


class Host(NamedTuple):
    """One agent as it is now, as far as a rollout looks at it."""

    agent_id: str
    name: str
    connected: bool
    architecture: str
    running: Running
    utc_offset_s: float
    agent_rss_bytes: int
    incarnation: int
    groups: tuple[str, ...]  # "debian/x86_64/postgresql"
    told: bool  # what was last asked of it left on the stream that is open now, not long ago


class RolloutHost(NamedTuple):
    """One host's part in a rollout, as it is kept."""

    agent_id: str
    #: The wave in which it is asked; 0 are the canaries. One that is asked late gets the wave of then.
    wave: int
    #: "debian/x86_64/postgresql": each has canaries of its own.
    groups: tuple[str, ...]
    state: HostState
    #: When it was asked the first time; None while it never was, and then its state is WAITING or KEPT.
    asked_at: float | None
    #: When it came into its state.
    since_healthy_s: float
    #: Since when it is not heard; None while it is.
    away_healthy_s: float | None
    #: What it ran when it was asked, and goes back to.
    from_version: str
    #: The same release; empty where it was not installed as one, and then it cannot go back.
    from_digest: str
    #: The agent's incarnation when it kept the release; starts are counted from there.
    incarnation: int
    #: Why it is in its state, as a code; begins with RETURN where it did not go back.
    cause_code: str
    #: The same for a person.
    cause: str
    #: Steps of its last days before it was asked.
    past: StepCounts
    #: Steps since it switched.
    after: StepCounts


@dataclass(frozen=True, slots=True)
class Rollout:
    """One rollout, as it is kept."""

    id: str
    #: Name of its Fleet manifest.
    fleet: str
    #: The release that is wanted on all hosts.
    version: str
    #: Its files, one for an architecture.
    artefacts: tuple[Artefact, ...]
    policy: RolloutPolicy
    state: RolloutState
    #: Rises with every decision; what was decided on an older one is void.
    revision: int
    #: The newest wave that was begun; 0 are the canaries.
    wave: int
    #: Seconds of its own clock, which stands still while the control plane does not hear hosts as it should.
    healthy_s: float
    #: When the wave began.
    wave_healthy_s: float
    #: When all of the wave were done; None before.
    soak_healthy_s: float | None
    #: Failures that a person looked at and went on from.
    forgiven: int
    #: Why it was halted last, as a code; empty where it never was, or a person went on.
    halt_code: str
    #: The same for a person.
    halt_cause: str
    #: The wave in which it was halted; None as above.
    halted_wave: int | None
    created_at: float
    #: When it came to rest; None while it has not, and again once a person goes on.
    ended_at: float | None
    #: The operator who proposed it.
    created_by: str
    #: What a person gave as the reason of the last decision, or the look did.
    reason: str

    def artefact_for(self, architecture: str) -> Artefact | None:
        """Return the file for an architecture."""
        return next((each for each in self.artefacts if each.architecture == architecture), None)


class Order(NamedTuple):
    """What a host is asked for; an empty digest takes back what was asked before."""

    agent_id: str
    version: str = ""
    digest: str = ""
    target_path: str = ""


@dataclass(slots=True)
class RolloutChanges:
    """What a look at a rollout wants written: each host's new part with the state that it must still be in."""

    rollout: Rollout
    hosts: list[tuple[HostState, RolloutHost]] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    events: list[tuple[str, str, str]] = field(default_factory=list)  # type, agent id or empty, detail
