"""One migration in memory, to which the core's changes are applied with the guards that a store would keep."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.core.changes import Changes
from controlplane.core.events import Event
from controlplane.core.health.doctor import Contradiction, Dossier, examine, examine_targets
from controlplane.core.migrations.workflow_planning import advance
from controlplane.core.model import Attempt, Candidate, Failure, Migration, Outcome, Step
from controlplane.core.states import MIGRATION_MOVING, AttemptState, Direction, StepState
from controlplane.core.steps.leasing import Refused, grant_leases
from tests.kit.builders import NOW, a_migration, a_step, an_agent


@dataclass
class Ledger:
    """Steps, attempts and facts of one migration; ``now`` moves on by a second with each change."""

    migration: Migration
    steps: dict[str, Step]
    needs: Mapping[str, Sequence[str]]
    attempts: dict[str, Attempt] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    fences: dict[str, int] = field(default_factory=dict)
    now: float = NOW
    is_under_way: bool = False

    def apply(self, changes: Changes | Refused) -> None:
        """Write ``changes``; every guard must find what the decision saw."""
        assert isinstance(changes, Changes), changes
        for end in changes.ends:
            attempt = self.attempts[end.attempt_id]
            assert (attempt.fence, attempt.state) == (end.fence, AttemptState.RUNNING)
            self.attempts[end.attempt_id] = attempt._replace(state=end.state, ended_at=end.ended_at)
        for move in changes.step_moves:
            step = self.steps[move.step_id]
            assert step.state is move.from_state
            self.steps[step.id] = step._replace(
                state=move.to_state,
                direction=move.direction,
                ready_at=move.ready_at,
                queue_deadline_at=move.queue_deadline_at,
                failures=move.failures,
                reason_code=move.reason_code,
                reason=move.reason,
                hint=move.hint,
            )
        for turn in changes.migration_moves:
            assert self.migration.state is turn.from_state
            self.migration = self.migration._replace(state=turn.to_state, reason=turn.reason, ended_at=turn.ended_at)
            self.is_under_way = self.is_under_way and turn.to_state in MIGRATION_MOVING
        for attempt, state in changes.grants:
            step = self.steps[attempt.step_id]
            assert (step.state, step.attempts) == (state, attempt.number - 1)
            assert attempt.fence > self.fences.get(attempt.target, 0)
            self.fences[attempt.target] = attempt.fence
            self.attempts[attempt.id] = attempt
            self.is_under_way = self.is_under_way or attempt.direction is Direction.FORWARD
            self.steps[step.id] = step._replace(
                state=StepState.LEASED, attempts=attempt.number, touched=True, queue_deadline_at=None
            )
        self.events += changes.events
        self.now += 1.0

    def advance(self) -> None:
        """Let the planner look once; a second look must change nothing."""
        self.apply(advance(self.migration, list(self.steps.values()), self.needs, self.now))
        again = advance(self.migration, list(self.steps.values()), self.needs, self.now)
        assert again == Changes()

    def grant(self) -> list[Attempt]:
        """Lease every step that may start to one agent with room for all."""
        candidates = [
            Candidate(step, self.fences.get(step.target, 0))
            for step in self.steps.values()
            if step.state is StepState.READY and step.target not in {a.target for a in self.live().values()}
        ]
        changes = grant_leases(
            candidates,
            agent=an_agent(),
            slots_free=100,
            budget_free={},
            datastores_of=lambda name: (),
            generation=1,
            ttl_s=60.0,
            # Every backoff has passed.
            now=max([self.now, *(step.ready_at for step in self.steps.values())]),
        )
        self.apply(changes)
        return [attempt for attempt, _ in changes.grants]

    def live(self) -> dict[str, Attempt]:
        """Step id → its running attempt."""
        return {a.step_id: a for a in self.attempts.values() if a.state is AttemptState.RUNNING}

    def named(self, name: str) -> Step:
        """A step by name."""
        return next(step for step in self.steps.values() if step.name == name)

    def states(self) -> dict[str, str]:
        """Step name → state."""
        return {step.name: step.state.value for step in self.steps.values()}

    def findings(self) -> list[Contradiction]:
        """What the doctor says of all of it."""
        dossier = Dossier(
            self.migration,
            list(self.steps.values()),
            self.needs,
            list(self.attempts.values()),
            self.events,
            self.is_under_way,
        )
        granted = [event.attempt_id for event in self.events if event.type == "LeaseGranted"]
        grants = [self.attempts[each] for each in granted if each in self.attempts]
        return examine(dossier) + examine_targets(grants, self.fences)


def started(needs: Mapping[str, Sequence[str]], **changes: Mapping[str, object]) -> Ledger:
    """A migration that was just started, its steps blocked; ``needs`` maps a step's name to those it needs.

    ``changes`` maps a step's name to what differs from ``a_step``.
    """
    ids = {name: f"step_{ordinal + 1}" for ordinal, name in enumerate(needs)}
    steps = {
        ids[name]: a_step(
            id=ids[name], ordinal=ordinal, name=name, **{"target": f"warehouse/{name}", **changes.get(name, {})}
        )
        for ordinal, name in enumerate(needs)
    }
    ledger = Ledger(a_migration(), steps, {ids[name]: [ids[n] for n in needed] for name, needed in needs.items()})
    ledger.events.append(Event(NOW, "MigrationStarted", "mig_1", "mig_1"))
    ledger.events += [Event(NOW, "StepPlanned", step_id, "mig_1") for step_id in steps]
    ledger.advance()
    return ledger


def outcome_of(attempt: Attempt, state: AttemptState, failure: Failure | None = None) -> Outcome:
    """What the agent of ``attempt`` reports."""
    return Outcome(attempt.id, attempt.fence, state, b"result" if state is AttemptState.SUCCEEDED else b"", failure)
