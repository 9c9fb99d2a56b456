"""Read models for the CLI and other eyes: snapshots that no decision is made on."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from controlplane.core.model import Agent, Attempt, Migration, Step
from controlplane.core.states import (
    STEP_UNFINISHED,
    WAITING,
    AttemptState,
    Direction,
    MigrationState,
    StepState,
)
from controlplane.core.steps import reasons
from controlplane.core.steps.admission import Limits
from controlplane.core.steps.placement import datastores_in_use
from controlplane.manifests.compiling import result_values
from controlplane.manifests.compiling.params import ParamsUnresolved, decode_result
from controlplane.service.agents.liveness import as_heard, by_liveness
from controlplane.service.agents.sessions import Sessions
from controlplane.service.errors import NotFound
from controlplane.service.events.reading import EventReading
from controlplane.service.migrations.migrations import find_iteration
from controlplane.service.migrations.selection import find
from controlplane.service.not_found import no_agent
from controlplane.service.steps.admission import what_holds
from controlplane.store.port import Store, Tx
from controlplane.store.verbs.attempts import AttemptReport, AttemptVerbs
from controlplane.store.verbs.health import Counts
from controlplane.store.verbs.migrations import MigrationSummary, MigrationVerbs
from controlplane.store.verbs.steps import Body


@dataclass(frozen=True, slots=True)
class MigrationDetail:
    """One migration with its steps, their needs, results and attempts."""

    summary: MigrationSummary
    steps: Sequence[Step]
    needs: Mapping[str, Sequence[str]]  # step id → names
    results: Mapping[str, bytes]
    attempts: Mapping[str, Sequence[AttemptReport]]
    iterations: Sequence[MigrationSummary] = ()  # summaries of all iterations of its name, oldest first


@dataclass(frozen=True, slots=True)
class StepHolds:
    """What holds one step."""

    step: Step
    migration: str
    holds: Sequence[reasons.Hold]


class Queries:
    """Each query is one read of the store, of one moment."""

    def __init__(self, store: Store, clock: Callable[[], float], sessions: Sessions) -> None:
        self._store = store
        self._clock = clock
        self._sessions = sessions

    def now(self) -> float:
        """Return the instant by the control plane's clock, to turn stored instants into ages."""
        return self._clock()

    async def migrations(
        self, states: Sequence[str], after: str, limit: int, *, every_iteration: bool = False
    ) -> list[MigrationSummary]:
        """Return migrations with their progress, in order of creation; of a name the newest iteration, or all.

        ``states`` are those that people see.
        """
        stored = sorted({MigrationState.RUNNING if state == WAITING else state for state in states})
        found: list[MigrationSummary] = []
        while len(found) < limit:
            rows = await self._store.read(
                lambda tx, after=after: tx.summaries(stored, after, limit, every_iteration=every_iteration)  # type: ignore[misc]
            )
            found += [row for row in rows if not states or row.shown in states]
            if len(rows) < limit:
                break
            after = rows[-1].id
        return found[:limit]

    async def summary(self, migration_id: str) -> MigrationSummary:
        """Return one migration with its progress."""
        return await self._store.read(lambda tx: _summary(tx, migration_id))

    async def migration(self, name_or_id: str, iteration: int = 0, *, values: bool = False) -> MigrationDetail:
        """Return one migration whole, its newest iteration for 0; values of rows only if ``values``.

        Raises ``NotFound`` or ``Precondition``.
        """

        def load(tx: Tx) -> MigrationDetail:
            migration = find_iteration(tx, name_or_id, iteration)
            steps = tx.steps_of(migration.id)
            names = {step.id: step.name for step in steps}
            bodies = tx.bodies(list(names))
            attempts: dict[str, list[AttemptReport]] = {}
            for report in tx.attempt_reports(migration.id):
                attempts.setdefault(report.attempt.step_id, []).append(report)
            return MigrationDetail(
                _summary(tx, migration.id),
                steps,
                {step_id: [names[i] for i in needed] for step_id, needed in tx.needs_of(migration.id).items()},
                {step.id: result for step in steps if (result := _result(step, bodies[step.id], values)) is not None},
                attempts,
                [_summary(tx, each.id) for each in tx.iterations_of(migration.name)],
            )

        return await self._store.read(load)

    async def ended_attempt(self, attempt_id: str) -> AttemptReport | None:
        """Return an attempt with all that it reported, once it has ended."""

        def load(tx: Tx) -> AttemptReport | None:
            known = tx.attempts([attempt_id]).get(attempt_id)
            if known is None or known.state is AttemptState.RUNNING:
                return None
            reports = tx.attempt_reports(known.migration_id)
            return next((each for each in reports if each.attempt.id == attempt_id), None)

        return await self._store.read(load)

    async def agents(self) -> list[tuple[Agent, str, int]]:
        """Return all agents, each with its newest sample (JSON) and its live leases."""

        def load(tx: Tx) -> list[tuple[Agent, str, int]]:
            leases, now = tx.live_counts(), self._clock()
            return [
                (as_heard(self._sessions, agent, now), sample, leases.get(agent.id, 0)) for agent, sample in tx.agents()
            ]

        return await self._store.read(load)

    async def missing_agent(self, name: str) -> NotFound:
        """Return the error for an agent that never joined or is gone."""
        return await self._store.read(lambda tx: no_agent(tx, name))

    async def why(self, subject: str) -> list[StepHolds]:
        """Name what holds a step ("step_…" or MIGRATION/STEP) or each open step of a migration. Raises ``NotFound``."""
        limits, lock_delay_s = self._sessions.offers.limits, self._sessions.settings.lock_delay_s
        now = self._clock()

        def heard(agent: Agent) -> Agent:
            return as_heard(self._sessions, agent, now)

        return await self._store.read(lambda tx: why(tx, subject, limits, now, lock_delay_s, heard))

    async def summary_of(self, subject: str) -> MigrationSummary:
        """Return the migration of a step or migration that ``why`` was asked about. Raises ``NotFound``."""
        return await self._store.read(lambda tx: _summary(tx, _subject(tx, subject)[0].id))

    def event_reading(self) -> EventReading:
        """Return a reader of the event log for one stream."""
        return EventReading(self._store, self._clock)

    async def counts(self) -> Counts:
        """Return counts by state, of agents by what is believed of them now."""
        now = self._clock()
        return await self._store.read(lambda tx: tx.counts()._replace(agents=by_liveness(tx, self._sessions, now)))

    async def generation(self) -> int:
        """Return the store generation."""
        return await self._store.read(lambda tx: tx.generation())


def _result(step: Step, body: Body, values: bool) -> bytes | None:
    if body.result is None or values or step.kind != result_values.KIND:
        return body.result
    return result_values.without_values(body.params or b"", body.result)


def result_json(kind: str, result: bytes) -> str:
    """Write a step's result as JSON; one that this version cannot read is shown as such and hides nothing else."""
    try:
        return json.dumps(decode_result(kind, result))
    except ParamsUnresolved as error:
        return json.dumps({"unreadable": str(error)})


def why(
    tx: Tx,
    subject: str,
    limits: Limits,
    now: float,
    lock_delay_s: float,
    heard: Callable[[Agent], Agent],
) -> list[StepHolds]:
    """See ``Queries.why``; a plain function so that the simulator asks the same question.

    ``heard`` turns an agent as it is stored into what is believed of it now.
    """
    migration, wanted = _subject(tx, subject)
    steps = tx.steps_of(migration.id)
    needs = tx.needs_of(migration.id)
    live = tx.live_of_migration(migration.id)
    running = {attempt.id for attempt in live.values()}
    reports = tx.attempt_reports(migration.id)
    stages = {each.attempt.step_id: each.stage for each in reports if each.attempt.id in running}
    classes = tx.classes()
    agents = [heard(agent) for agent, _ in tx.agents()]
    leases = tx.live_counts()
    in_use = datastores_in_use(tx.live_classes(), classes)
    answers = []
    for step in steps:
        if wanted is not None and step.id != wanted:
            continue
        if wanted is None and step.state not in STEP_UNFINISHED | {StepState.FAILED, StepState.STUCK}:
            continue
        holder = tx.live_on_target(step.target) if step.state is StepState.READY else None
        around = reasons.Surroundings(
            waits_for=_waits_for(step, steps, needs),
            requirements=classes[step.placement_class],
            agents=agents,
            leases_of_agent=leases,
            budgets=limits.steps,
            in_use=in_use,
            target_holder=holder,
            migration=migration.name,
            holder_migration=_name_of(tx, holder),
            live_attempt=live.get(step.id),
            stage=stages.get(step.id, ""),
            lock_delay_ends_at=_lock_delay_end(tx, step, lock_delay_s),
            reached=what_holds(tx, limits, step) if step.state is StepState.READY else (),
        )
        answers.append(StepHolds(step, migration.name, reasons.holds(step, around, now)))
    return answers


def _name_of(tx: MigrationVerbs, holder: Attempt | None) -> str:
    """Return the name of the migration of an attempt; empty where there is none."""
    migration = tx.migration(holder.migration_id) if holder else None
    return migration.name if migration else ""


def _lock_delay_end(tx: AttemptVerbs, step: Step, lock_delay_s: float) -> float:
    """Return until when a target that can check no fence is left alone; 0 where nothing is to be waited for."""
    if step.fenced or step.state is not StepState.READY:
        return 0.0
    ended_at = tx.unseen_end(step.target)
    return 0.0 if ended_at is None else ended_at + lock_delay_s


def _subject(tx: Tx, subject: str) -> tuple[Migration, str | None]:
    """Find the migration, and the step if one was named."""
    if subject.startswith("step_"):
        step = tx.steps([subject]).get(subject)
        if step is None:
            raise NotFound(f"there is no step {subject}: see `haulier migration get NAME`")
        migration = tx.migration(step.migration_id)
        assert migration is not None, "a step's migration exists"
        return migration, step.id
    name, _, step_name = subject.partition("/")
    migration = find(tx, name)
    if not step_name:
        return migration, None
    step = tx.step_named(migration.id, step_name)
    if step is None:
        known = ", ".join(other.name for other in tx.steps_of(migration.id))
        raise NotFound(f"migration {migration.name} has no step {step_name}; it has {known}")
    return migration, step.id


def _waits_for(step: Step, steps: Sequence[Step], needs: Mapping[str, Sequence[str]]) -> list[Step]:
    if step.direction is Direction.UNDO:
        passed = (StepState.UNDONE, StepState.CANCELLED)
        return [other for other in steps if step.id in needs.get(other.id, ()) and other.state not in passed]
    wanted = needs.get(step.id, ())
    return [other for other in steps if other.id in wanted and other.state is not StepState.SUCCEEDED]


def _summary(tx: MigrationVerbs, migration_id: str) -> MigrationSummary:
    summary = tx.summary(migration_id)
    assert summary is not None, "the caller has found the migration"
    return summary
