"""The glossary's nouns as immutable values.

Hot rows are named tuples: the store builds them straight from a row, which costs a third of a frozen dataclass.
Instants are float seconds on the control plane's own clock; fences are integers whose high 32 bits are the
store generation.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from controlplane.core.hosts import Facts, Running
from controlplane.core.states import AgentState, AttemptState, Direction, Liveness, MigrationState, StepState

FENCE_COUNTER_BITS = 32


class Migration(NamedTuple):
    """One dataset on its way from A to B under one generation of a workflow."""

    id: str
    name: str
    dataset: str
    workflow: str
    workflow_generation: int
    source: str  # datastore name
    destination: str  # datastore name
    priority: int
    state: MigrationState
    reason: str
    created_at: float
    ended_at: float | None  # when it last stopped moving; a retry of a failed one clears it
    iteration: int = 1  # which run of its name this is
    place: str = ""  # write target of what it publishes at its destination: "datastore/object"


class Step(NamedTuple):
    """One idempotent unit of a migration, without its parameters and result, which are seldom needed."""

    id: str
    migration_id: str
    ordinal: int
    name: str
    kind: str
    placement_class: str
    priority: int
    state: StepState
    direction: Direction
    ready_at: float  # not before; meaningful while ready
    queue_deadline_at: float | None  # when waiting becomes failure; None while not ready
    attempts: int  # tries ever made, in both directions
    failures: int  # tries that counted against attempts_max since the last fresh start
    attempts_max: int
    target: str
    fenced: bool  # False: the destination cannot check a fence, so a lock-delay passes instead
    pivot: bool
    compensatable: bool
    touched: bool  # granted at least once, so there may be something to undo
    queue_s: float
    start_to_finish_s: float  # 0: no limit
    progress_s: float  # 0: no limit
    backoff_initial_s: float
    backoff_factor: float
    backoff_max_s: float
    reason_code: str
    reason: str
    hint: str
    unreachable_for_s: float  # how long an outage may last before its tries count as failures
    unreachable_since: float | None  # when the outage began that the last tries met; None while there is none
    losses: int  # tries since the last fresh start that counted as nothing, because they were lost


class Attempt(NamedTuple):
    """One try at a step under one lease; while it is ``running`` this row *is* the lease."""

    id: str
    step_id: str
    migration_id: str
    number: int
    direction: Direction
    agent_id: str
    incarnation: int
    fence: int
    target: str
    state: AttemptState
    granted_at: float
    expires_at: float
    ended_at: float | None


class Candidate(NamedTuple):
    """A ready step with what a grant must know of its target."""

    step: Step
    fence: int  # highest fence ever granted for the step's target; 0 when there was none


@dataclass(frozen=True, slots=True)
class Agent:
    """One daemon on one host."""

    id: str
    name: str
    state: AgentState
    liveness: Liveness
    liveness_cause: str
    incarnation: int
    slots: int
    kinds: frozenset[str]
    datastores: frozenset[str]  # by manifest name; "*" means any
    labels: dict[str, str]
    boot_id: str
    version: str
    drain_reason: str
    heard_at: float
    cordon_reason: str = ""  # not empty: it is given no new work, and is not told so


@dataclass(frozen=True, slots=True)
class Requirements:
    """What an agent must have to run a step; equal requirements share one placement class."""

    kind: str
    datastores: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step as a workflow plans it, before it has an id."""

    name: str
    kind: str
    needs: tuple[str, ...]
    template: str  # JSON with references left in
    params: bytes | None  # compiled already, where no reference needs an earlier result
    requirements: Requirements
    target: str
    queue_s: float
    start_to_finish_s: float
    progress_s: float
    attempts_max: int
    backoff_initial_s: float
    backoff_factor: float
    backoff_max_s: float
    unreachable_for_s: float = 900.0
    pivot: bool = False
    compensatable: bool = True
    fenced: bool = True


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt did not succeed, fit for a person.

    ``unreachable``: what the step needs was away, which says nothing about the step's own work.
    """

    code: str
    message: str
    hint: str = ""
    retryable: bool = True
    unreachable: bool = False


class Use(NamedTuple):
    """Resources of one attempt over its whole process group."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    rss_bytes_max: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, as its agent claims."""

    attempt_id: str
    fence: int
    state: AttemptState
    result: bytes = b""
    failure: Failure | None = None
    use: Use = field(default_factory=Use)


class Held(NamedTuple):
    """An attempt an agent says it still holds."""

    attempt_id: str
    fence: int
    watermark: int


@dataclass(frozen=True, slots=True)
class Introduction:
    """What an agent says of itself when it connects."""

    incarnation: int
    version: str
    kinds: frozenset[str]
    datastores: frozenset[str]
    labels: dict[str, str]
    slots: int
    boot_id: str
    draining: bool
    held: tuple[Held, ...]
    state_place: str = ""  # tells the agent's state directory from every copy; empty for older agents
    facts: Facts = field(default_factory=Facts)
    running: Running = field(default_factory=Running)


def first_fence(generation: int) -> int:
    """Return the fence below the first one of a store generation.

    >>> first_fence(1)
    4294967296
    """
    return generation << FENCE_COUNTER_BITS


def attempt_id(step_id: str, number: int, generation: int = 0) -> str:
    """Derive the attempt's id from its step, so that no randomness is needed and a repeat names the same.

    An id holds the generation that it was made in. A step of an older one was restored from a backup: agents may know
    attempts at it that the store has forgotten, so those of today are named apart.

    >>> attempt_id("step_1a", 3)
    'att_1a_3'
    >>> attempt_id("step_70000001a", 3, 7), attempt_id("step_70000001a", 3, 8)
    ('att_70000001a_3', 'att_70000001a_3_8')
    """
    made_in = int(step_id[5:], 16) >> FENCE_COUNTER_BITS
    name = f"att_{step_id[5:]}_{number}"
    return name if made_in in (0, generation) else f"{name}_{generation:x}"
