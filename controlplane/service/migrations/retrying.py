"""Letting a failed or stuck migration go on: where it stopped, or from its first step with the source side of now."""

from dataclasses import dataclass

from controlplane.core.migrations import resuming
from controlplane.core.model import Migration
from controlplane.core.states import MigrationState, StepState
from controlplane.core.steps.leasing import Refused
from controlplane.manifests.compiling.taking import Taken
from controlplane.service.agents.offers import NewWork
from controlplane.service.errors import Precondition
from controlplane.service.migrations.planning import CannotPlan, NotKnown, Replanned, keep_class, replan_migration
from controlplane.service.steps.advancing import advance, equip_readied
from controlplane.service.steps.destinations import require_free, superseded_at_last
from controlplane.store.port import Tx
from controlplane.store.verbs.migrations import ReplannedStep

SOURCE_CHANGED = "the source side has changed since it was started"


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry did. ``again`` says why it begins again at its first step; empty: it goes on where it stopped."""

    migration_id: str
    again: str = ""
    taken: tuple[Taken, ...] = ()


def would_take(tx: Tx, migration: Migration) -> tuple[Taken, ...]:
    """Return what a retry of this migration would take from the manifests of now; nothing where it goes on as it is.

    Whoever approves looks here: what is in this list differs from what the migration was started with. Raises
    ``Precondition``.
    """
    return _aim(tx, migration)[1].taken


def retry_in(tx: Tx, migration: Migration, now: float, by: str = "") -> tuple[Retried, NewWork]:
    """Give a failed or stuck migration fresh tries.

    A failed one begins again at its first step where what it had done was taken back, or where the source side
    differs from what it was started with; then it takes the source side of now. The destination, the workflow and the
    Migration itself stay as they were started. Raises ``Precondition``.
    """
    if superseded_at_last(tx, migration, now):
        return Retried(migration.id), NewWork()
    if migration.state is MigrationState.FAILED:
        require_free(tx, migration.name, migration.dataset, migration.place)
    again, replanned = _aim(tx, migration)
    steps = tx.steps_of(migration.id)
    decision = resuming.retry(migration, steps, now, by, again=again)
    if isinstance(decision, Refused):
        raise Precondition(f"{migration.name}: {decision.because}")
    tx.apply(decision)
    # Of what was undone nothing is left that a later undo could expect to find.
    tx.forget_results([step.id for step in steps if again and step.state is StepState.UNDONE])
    work = NewWork()
    if replanned.taken:
        _replan(tx, migration, replanned, work)
        steps = tx.steps_of(migration.id)
    work.readied = equip_readied(tx, decision, steps, now) + advance(tx, migration.id, now)
    return Retried(migration.id, again, replanned.taken), work


_NOTHING = Replanned(None, ())


def _aim(tx: Tx, migration: Migration) -> tuple[str, Replanned]:
    """Return why a retry begins again (empty when it does not), and what it takes."""
    steps = tx.steps_of(migration.id)
    if migration.state is not MigrationState.FAILED or resuming.is_past_pivot(steps):
        return "", _NOTHING
    again = resuming.must_begin_again(steps)
    try:
        replanned = replan_migration(tx, migration)
    except NotKnown:
        # A store of before, whose history was let go: it begins again with what it has.
        return again, _NOTHING
    except CannotPlan as error:
        raise Precondition(f"{migration.name}: its source side as applied now does not fit: {error}") from None
    return again or (SOURCE_CHANGED if replanned.taken else ""), replanned


def _replan(tx: Tx, migration: Migration, replanned: Replanned, work: NewWork) -> None:
    """Write the plan with the source side of now into the steps."""
    planned = replanned.planned
    assert planned is not None, "what is taken was planned"
    by_name = {step.name: step.id for step in tx.steps_of(migration.id)}
    rows = [
        ReplannedStep(by_name[plan.name], keep_class(tx, plan, work.classes), plan.template, plan.params)
        for plan in planned.steps
    ]
    tx.replan(migration.id, planned.source, rows)
    tx.put_basis(migration.id, planned.basis)


__all__ = ["Retried", "Taken", "retry_in", "would_take"]
