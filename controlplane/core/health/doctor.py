"""Whole-state invariants: what must hold at every commit, as pure checks over one migration at a time.

The simulator asks after every event, `haulier-controlplane doctor` asks a file; both name the promise that is broken.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from controlplane.core.events import Event
from controlplane.core.migrations.clean_up import CLEAN_UP
from controlplane.core.migrations.restoring import is_refuted, leaves_something
from controlplane.core.model import Attempt, Migration, Step
from controlplane.core.states import (
    ATTEMPT_TRANSITIONS,
    MIGRATION_ASKS_A_PERSON,
    MIGRATION_ENDED,
    MIGRATION_MOVING,
    MIGRATION_TRANSITIONS,
    STEP_TRANSITIONS,
    AttemptState,
    Direction,
    MigrationState,
    StepState,
)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A broken promise: which, whose, and how it shows."""

    promise: str
    subject: str
    message: str


@dataclass(frozen=True, slots=True)
class Dossier:
    """Everything stored of one migration."""

    migration: Migration
    steps: Sequence[Step]
    needs: Mapping[str, Sequence[str]]
    attempts: Sequence[Attempt]
    events: Sequence[Event]
    is_under_way: bool = False  # as the store counts it against the limits of migrations


def examine(dossier: Dossier) -> list[Contradiction]:
    """Check one migration; an empty list means that every promise checked here holds."""
    return [
        *_leases(dossier),
        *_ends(dossier),
        *_restored(dossier),
        *_deadlines(dossier),
        *_order(dossier),
        *_pivots(dossier),
        *_under_way(dossier),
        *_fold(dossier),
    ]


def examine_targets(attempts: Iterable[Attempt], fences: Mapping[str, int]) -> list[Contradiction]:
    """Check all attempts ever made, in order of grant: fences of a target strictly rise, one live writer each."""
    found = []
    last: dict[str, tuple[int, str]] = {}
    live: dict[str, str] = {}
    for attempt in attempts:
        before = last.get(attempt.target)
        if before is not None and attempt.fence <= before[0]:
            found.append(
                Contradiction(
                    "L1", attempt.id, f"fence {attempt.fence} of {attempt.target} follows {before[0]} of {before[1]}"
                )
            )
        last[attempt.target] = (attempt.fence, attempt.id)
        if attempt.fence > fences.get(attempt.target, 0):
            found.append(Contradiction("L1", attempt.id, f"fence {attempt.fence} is above what its target remembers"))
        if attempt.state is AttemptState.RUNNING:
            if attempt.target in live:
                found.append(
                    Contradiction(
                        "L2", attempt.id, f"{attempt.target} has two live writers, also {live[attempt.target]}"
                    )
                )
            live[attempt.target] = attempt.id
    return found


def examine_iterations(iterations: Sequence[Migration]) -> list[Contradiction]:
    """Check all runs of one name, oldest first (promise S7): numbered without a gap, at most one of them open."""
    found = []
    numbers = [each.iteration for each in iterations]
    if numbers != list(range(1, len(numbers) + 1)):
        found.append(Contradiction("S7", iterations[0].name, f"its iterations are numbered {numbers}"))
    still = [each for each in iterations if each.state not in MIGRATION_ENDED]
    if len(still) > 1:
        said = ", ".join(f"{each.iteration} is {each.state}" for each in still)
        found.append(Contradiction("S7", still[0].name, f"more than one iteration is open: {said}"))
    return found


def _leases(dossier: Dossier) -> Iterable[Contradiction]:
    live: dict[str, list[Attempt]] = {}
    for attempt in dossier.attempts:
        if attempt.state is AttemptState.RUNNING:
            live.setdefault(attempt.step_id, []).append(attempt)
    for step in dossier.steps:
        held = live.get(step.id, [])
        if len(held) > 1:
            yield Contradiction("L2", step.id, f"{len(held)} live leases: {', '.join(a.id for a in held)}")
        if (step.state is StepState.LEASED) != bool(held):
            yield Contradiction("L4", step.id, f"the step is {step.state} with {len(held)} live leases")
        if any(attempt.direction is not step.direction for attempt in held):
            yield Contradiction("L4", step.id, "the live lease goes the other way than the step")
        tries = [a for a in dossier.attempts if a.step_id == step.id]
        if len(tries) != step.attempts:
            yield Contradiction("L4", step.id, f"the step counts {step.attempts} attempts, the log has {len(tries)}")


def _ends(dossier: Dossier) -> Iterable[Contradiction]:
    """A step has succeeded, or is undone, only through an attempt that did."""
    won = {(a.step_id, a.direction) for a in dossier.attempts if a.state is AttemptState.SUCCEEDED}
    for step in dossier.steps:
        if step.state is StepState.SUCCEEDED and (step.id, Direction.FORWARD) not in won:
            yield Contradiction("L4", step.id, "the step has succeeded without a successful attempt")
        if step.state is StepState.UNDONE and (step.id, Direction.UNDO) not in won:
            yield Contradiction("S5", step.id, "the step is undone without a successful undo")
    # What cleans up after a migration moves when that has ended.
    states = {step.state for step in dossier.steps if step.kind != CLEAN_UP}
    ended = dossier.migration.state
    if ended in MIGRATION_ENDED | MIGRATION_ASKS_A_PERSON and states & {StepState.READY, StepState.LEASED}:
        yield Contradiction("L4", dossier.migration.id, f"{ended} although a step of it is ready or leased")
    if ended is MigrationState.SUCCEEDED and states != {StepState.SUCCEEDED}:
        yield Contradiction("L4", dossier.migration.id, f"succeeded with steps that are {', '.join(sorted(states))}")
    if ended in (MigrationState.CANCELLED, MigrationState.ROLLED_BACK):
        behind = (s for s in dossier.steps if s.touched and (s.compensatable or s.pivot))
        left = [s.id for s in behind if s.state is not StepState.UNDONE]
        if left:
            yield Contradiction("S5", dossier.migration.id, f"{ended} although {', '.join(left)} was not undone")


def _restored(dossier: Dossier) -> Iterable[Contradiction]:
    """Promise D9: what a proof has refuted is not what is there when its migration ends failed."""
    told = [event.type for event in dossier.events if event.subject == dossier.migration.id]
    answers = [each for each in told if each in ("MigrationRefuted", "MigrationRetried")]
    if dossier.migration.state is not MigrationState.FAILED or answers[-1:] != ["MigrationRefuted"]:
        return
    for step in dossier.steps:
        if leaves_something(step) and step.state is not StepState.UNDONE and not is_refuted(step):
            yield Contradiction("D9", step.id, f"its migration's proof failed, and it is {step.state}, not undone")


def _deadlines(dossier: Dossier) -> Iterable[Contradiction]:
    """Promise S6: nothing waits without a deadline, and an open migration always has something that moves."""
    for step in dossier.steps:
        if step.state is StepState.READY and step.queue_deadline_at is None:
            yield Contradiction("S6", step.id, "the step is ready without a deadline")
    migration = dossier.migration
    if migration.state in MIGRATION_ENDED | MIGRATION_ASKS_A_PERSON:
        return
    if not any(step.state in (StepState.READY, StepState.LEASED) for step in dossier.steps):
        yield Contradiction(
            "S6", migration.id, f"the migration is {migration.state} and no step of it is ready or leased"
        )


def _order(dossier: Dossier) -> Iterable[Contradiction]:
    """Forward, nothing starts before what it needs; undoing, nothing before what needs it."""
    steps = {step.id: step for step in dossier.steps}
    started = (StepState.READY, StepState.LEASED, StepState.SUCCEEDED)
    for step_id, needed in dossier.needs.items():
        step = steps[step_id]
        for other in (steps[i] for i in needed):
            early = step.state in started and other.state is not StepState.SUCCEEDED
            if early and dossier.migration.state is MigrationState.RUNNING:
                yield Contradiction("S5", step.id, f"it is {step.state} before {other.name}, which it needs, succeeded")
            undoing = other.direction is Direction.UNDO and other.state in (
                StepState.READY,
                StepState.LEASED,
                StepState.UNDONE,
            )
            if undoing and step.state not in (StepState.UNDONE, StepState.CANCELLED) and not is_refuted(step):
                yield Contradiction("S5", other.id, f"its undo began before {step.name}, which needs it, was undone")


def _under_way(dossier: Dossier) -> Iterable[Contradiction]:
    """Promise S8: what limits of migrations are counted over is what moves and has begun."""
    migration = dossier.migration
    if dossier.is_under_way and migration.state not in MIGRATION_MOVING:
        yield Contradiction("S8", migration.id, f"it is {migration.state} and still counts as under way")
    works = migration.state in MIGRATION_MOVING and any(
        a.state is AttemptState.RUNNING and a.direction is Direction.FORWARD for a in dossier.attempts
    )
    if works and not dossier.is_under_way:
        yield Contradiction("S8", migration.id, "a step of it is leased and it does not count as under way")


def _pivots(dossier: Dossier) -> Iterable[Contradiction]:
    if sum(step.pivot for step in dossier.steps) > 1:
        yield Contradiction("S4", dossier.migration.id, "more than one pivot")
    for step in dossier.steps:
        if step.pivot and step.direction is Direction.UNDO and step.state is not StepState.CANCELLED:
            passed = any(
                a.step_id == step.id and a.direction is Direction.FORWARD and a.state is AttemptState.SUCCEEDED
                for a in dossier.attempts
            )
            if passed:
                yield Contradiction("S4", step.id, "the pivot had succeeded and is being undone")


def _fold(dossier: Dossier) -> Iterable[Contradiction]:
    """Promise C3: the rows are what the event log folds to."""
    steps: dict[str, StepState | None] = {step.id: None for step in dossier.steps}
    attempts: dict[str, AttemptState | None] = {attempt.id: None for attempt in dossier.attempts}
    migration: MigrationState | None = None
    for event in dossier.events:
        if event.subject == dossier.migration.id and (migration, event.type) in MIGRATION_TRANSITIONS:
            migration = MIGRATION_TRANSITIONS[migration, event.type]
        if event.subject in steps and (steps[event.subject], event.type) in STEP_TRANSITIONS:
            steps[event.subject] = STEP_TRANSITIONS[steps[event.subject], event.type]
        if event.attempt_id in attempts:
            before = attempts[event.attempt_id]
            attempts[event.attempt_id] = ATTEMPT_TRANSITIONS.get((before, event.type), before)
    if migration is not dossier.migration.state:
        yield Contradiction("C3", dossier.migration.id, f"is {dossier.migration.state}, its events fold to {migration}")
    for step in dossier.steps:
        if steps[step.id] is not step.state:
            yield Contradiction("C3", step.id, f"is {step.state}, its events fold to {steps[step.id]}")
    for attempt in dossier.attempts:
        if attempts[attempt.id] is not attempt.state:
            yield Contradiction("C3", attempt.id, f"is {attempt.state}, its events fold to {attempts[attempt.id]}")
