"""The hot path: granting leases and settling how they ended. Plain functions over one transaction."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from controlplane.core.changes import Changes
from controlplane.core.events import Event
from controlplane.core.model import Agent, Attempt, Candidate, Failure, Outcome, Requirements, Step
from controlplane.core.states import AttemptState, Direction, StepState
from controlplane.core.steps import leasing
from controlplane.core.steps.admission import Admission, Limits
from controlplane.core.steps.placement import datastores_in_use
from controlplane.service.steps.admission import admission, may_begin
from controlplane.service.steps.advancing import advance
from controlplane.service.steps.destinations import called, supersede_others
from controlplane.service.steps.shown_values import admitted
from controlplane.store.port import Tx
from controlplane.store.verbs.attempts import AttemptedStep
from controlplane.store.verbs.migrations import MigrationVerbs
from controlplane.store.verbs.steps import StepVerbs

EVICT_MAX = 16
# Write targets of steps that publish nothing at a destination begin with this.
STAGING = "staging/"
_MIGRATION_ID = re.compile(r"\bmig_[0-9a-f]+\b")


class GrantedLease(NamedTuple):
    """A durable lease with all that its agent needs to run it."""

    attempt: Attempt
    step: Step
    params: bytes
    forward_result: bytes
    evict_attempt_ids: tuple[str, ...]
    discard_changes: bool = False


@dataclass(slots=True)
class Settlement:
    """What settling reports did: which may be forgotten, which leases ended, which classes got new work."""

    acknowledged: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    readied: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class GrantTerms:
    """What a grant depends on besides the rows."""

    classes: Sequence[str]
    known: Mapping[str, Requirements]
    limits: Limits
    ttl_s: float
    lock_delay_s: float


def grant(tx: Tx, agent: Agent, terms: GrantTerms, now: float) -> list[GrantedLease]:
    """Lease to ``agent`` what it may run now, best first, up to its free slots."""
    slots_free = agent.slots - tx.live_count(agent.id)
    if slots_free <= 0 or not terms.classes:
        return []
    admitted = admission(tx, terms.limits)
    candidates = _candidates(tx, terms, admitted, now, slots_free)
    if not candidates:
        return []
    if len(terms.classes) > 1:
        # Over all that this agent can run: what is left of an old migration comes before the beginning of a new one.
        candidates.sort(key=lambda candidate: leasing.turn_of(candidate.step))
    budgets = terms.limits.steps
    in_use = datastores_in_use(tx.live_classes(), terms.known) if budgets else {}
    changes = leasing.grant_leases(
        candidates,
        agent=agent,
        slots_free=slots_free,
        budget_free={name: limit - in_use.get(name, 0) for name, limit in budgets.items()},
        datastores_of=lambda name: terms.known[name].datastores,
        may_begin=lambda step: may_begin(tx, admitted, step),
        generation=tx.generation(),
        ttl_s=terms.ttl_s,
        now=now,
    )
    tx.apply(changes)
    steps = {c.step.id: c.step for c in candidates}
    return equip(tx, [(g.attempt, steps[g.attempt.step_id]) for g in changes.grants])


def _candidates(
    tx: StepVerbs, terms: GrantTerms, admitted: Admission | None, now: float, slots_free: int
) -> list[Candidate]:
    unseen_until = now - terms.lock_delay_s
    if admitted is None:
        return [each for name in terms.classes for each in tx.candidates(name, now, unseen_until, slots_free)]
    held = admitted.full
    return [each for name in terms.classes for each in tx.candidates_within(name, now, unseen_until, held, slots_free)]


def equip(tx: Tx, leases: Sequence[tuple[Attempt, Step]]) -> list[GrantedLease]:
    """Add to each lease its parameters and whom it must evict."""
    bodies = tx.bodies([step.id for _, step in leases])
    equipped = []
    for attempt, step in leases:
        body = bodies[step.id]
        # A first grant of a fresh target has no predecessor; asking costs a query on the hot path.
        fresh = attempt.number == 1 and attempt.fence & 0xFFFFFFFF == 1
        undo = attempt.direction is Direction.UNDO
        equipped.append(
            GrantedLease(
                attempt,
                step,
                body.params or b"",
                (body.result or b"") if undo else b"",
                () if fresh else tuple(tx.unconfirmed(attempt.target, EVICT_MAX)),
                undo and tx.discards_changes(step.migration_id),
            )
        )
    return equipped


def settle(tx: Tx, agent_id: str, outcomes: Sequence[Outcome], now: float, moved: Collection[str] = ()) -> Settlement:
    """Make the reported ends of attempts durable; every report is acknowledged, also one that comes too late.

    ``moved`` are the ids of those attempts that got on with their work.
    """
    done = Settlement(acknowledged=[outcome.attempt_id for outcome in outcomes])
    found = tx.attempts_with_steps(done.acknowledged)
    changes = Changes()
    settled: list[str] = []
    published: list[str] = []
    for outcome in outcomes:
        attempt, step = found.get(outcome.attempt_id, (None, None))
        outcome = _naming(tx, outcome)  # noqa: PLW2901 - the same, in words for people
        if attempt is None or step is None or attempt.agent_id != agent_id:
            # Promise A1: an agent reaches only its own leases; whatever it says of others is not even recorded there.
            continue
        kept, values_s = admitted(tx, step, outcome)
        decision = leasing.settle(step, attempt, kept, now, moved=attempt.id in moved)
        if isinstance(decision, leasing.Refused):
            _note_late(changes, attempt, outcome, decision, now)
            continue
        if values_s:
            tx.show_values(step.id, now + values_s)
        # The same report twice in one message must meet what the first one left.
        found[attempt.id] = AttemptedStep(attempt._replace(state=outcome.state), step)
        changes.extend(decision)
        done.ended.append(attempt.id)
        settled.append(step.id)
        if outcome.state is AttemptState.SUCCEEDED and attempt.direction is Direction.FORWARD:
            published += [step.migration_id] if not step.target.startswith(STAGING) else []
        _count_ready(done.readied, decision, [step])
    tx.apply(changes)
    for migration_id in tx.moved_on_by(settled):
        done.readied += advance(tx, migration_id, now)
    for migration_id in published:
        supersede_others(tx, migration_id, now)
    return done


def _naming(tx: MigrationVerbs, outcome: Outcome) -> Outcome:
    """Agents know migrations by their ids; people know them by name."""
    failure = outcome.failure
    if failure is None or "mig_" not in failure.message + failure.hint:
        return outcome

    def name(found: re.Match[str]) -> str:
        known = tx.migration(found[0])
        return called(known) if known is not None else found[0]

    def in_command(found: re.Match[str]) -> str:
        known = tx.migration(found[0])
        newest = tx.migration_by_name(known.name) if known is not None else None
        # The name alone means the newest iteration.
        return known.name if known is not None and newest is not None and newest.id == known.id else found[0]

    message, hint = _MIGRATION_ID.sub(name, failure.message), _MIGRATION_ID.sub(in_command, failure.hint)
    return replace(outcome, failure=replace(failure, message=message, hint=hint))


def expire(tx: Tx, due: Iterable[tuple[str, int, Failure]], now: float, *, lock_delay_s: float) -> Settlement:
    """End leases by (attempt id, fence, why); one that ended meanwhile is left as it is."""
    wanted = list(due)
    done = Settlement()
    attempts = tx.attempts([attempt_id for attempt_id, _, _ in wanted])
    steps = tx.steps([a.step_id for a in attempts.values()])
    for attempt_id, fence, failure in wanted:
        attempt = attempts.get(attempt_id)
        if attempt is None or attempt.fence != fence:
            continue
        done.ended.append(attempt_id)
        if attempt.state is not AttemptState.RUNNING:
            continue
        step = steps[attempt.step_id]
        changes = leasing.expire(step, attempt, failure, now, lock_delay_s=lock_delay_s)
        tx.apply(changes)
        _count_ready(done.readied, changes, [step])
        done.readied += advance(tx, step.migration_id, now)
    return done


def _count_ready(readied: Counter[str], changes: Changes, steps: Sequence[Step]) -> None:
    placement = {step.id: step.placement_class for step in steps}
    for move in changes.step_moves:
        if move.to_state is StepState.READY:
            readied[placement[move.step_id]] += 1


def _note_late(changes: Changes, attempt: Attempt, outcome: Outcome, refused: leasing.Refused, now: float) -> None:
    """Keep a refused report as evidence, unless it merely repeats one whose acknowledgement was lost."""
    if outcome.fence == attempt.fence and outcome.state is attempt.state:
        return
    changes.events.append(
        Event(
            at=now,
            type="LateResult",
            subject=attempt.step_id,
            migration_id=attempt.migration_id,
            attempt_id=attempt.id,
            agent_id=attempt.agent_id,
            fence=outcome.fence,
            detail=f"reported {outcome.state}, refused: {refused.because}",
        )
    )
