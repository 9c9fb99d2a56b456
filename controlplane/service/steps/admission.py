"""Limits of migrations under way, over one transaction. What has begun, and every undo, goes on whatever they say."""

from controlplane.core.model import Step
from controlplane.core.states import Direction
from controlplane.core.steps.admission import Admission, Limits, Reached, UnderWay, reached
from controlplane.store.port import Tx
from controlplane.store.verbs.migrations import MigrationVerbs
from controlplane.store.verbs.steps import StepVerbs


def admission(tx: StepVerbs, limits: Limits) -> Admission | None:
    """Return who lets migrations begin in this transaction; None where nothing limits them."""
    return Admission(limits, tx.under_way()) if limits.on_migrations else None


def may_begin(tx: MigrationVerbs, admitted: Admission | None, step: Step) -> bool:
    """Let a step's migration begin, if it has not and a limit leaves room; False where it must wait."""
    return admitted is None or _goes_on(admitted, step) or admitted.begin(_migration_of(tx, step))


def is_held(tx: MigrationVerbs, admitted: Admission | None, step: Step) -> bool:
    """Tell whether a limit keeps a step's migration from beginning."""
    if admitted is None or _goes_on(admitted, step):
        return False
    migration = _migration_of(tx, step)
    return admitted.full.holds(migration.source, migration.destination)


def what_holds(tx: Tx, limits: Limits, step: Step) -> list[Reached]:
    """Return the limits that keep a step's migration from beginning, with the migrations that use them up."""
    admitted = admission(tx, limits)
    if admitted is None or not is_held(tx, admitted, step):
        return []
    return reached(limits, tx.under_way(), _migration_of(tx, step))


def _goes_on(admitted: Admission, step: Step) -> bool:
    return step.direction is Direction.UNDO or admitted.is_under_way(step.migration_id)


def _migration_of(tx: MigrationVerbs, step: Step) -> UnderWay:
    migration = tx.migration(step.migration_id)
    assert migration is not None, "a step's migration exists"
    return UnderWay(migration.id, migration.name, migration.source, migration.destination)
