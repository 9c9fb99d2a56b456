"""What a rollback can still do, from what the agents said of the destination."""

from collections.abc import Sequence

from controlplane.core.migrations.clean_up import LEFT_BY, Left, WayBack, former_may_be_gone, way_back
from controlplane.core.model import Migration, Step
from controlplane.manifests.compiling.params import decode_result
from controlplane.service.errors import Precondition
from controlplane.store.port import Tx
from controlplane.store.verbs.steps import StepVerbs


def left_nothing(tx: StepVerbs, step: Step) -> bool:
    """Tell whether a step said that it left nothing behind; only a publish can, and older agents do not."""
    if not _publishes(step):
        return False
    result = tx.bodies([step.id])[step.id].result
    return result is not None and decode_result(step.kind, result).get("formerContentKept") is False


def was_empty(tx: StepVerbs, steps: Sequence[Step]) -> bool:
    """Tell whether the agents said of every `load` that nothing was at its destination before."""
    return all(left_nothing(tx, step) for step in steps if _publishes(step) and step.touched)


def _publishes(step: Step) -> bool:
    return LEFT_BY.get(step.kind) is Left.FORMER


def way_back_of(tx: Tx, migration: Migration, steps: Sequence[Step]) -> WayBack | None:
    """Tell what a rollback of a migration would do now; None where it has not succeeded or its history was let go."""
    return None if tx.is_compacted(migration.id) else way_back(migration, steps, was_empty=was_empty(tx, steps))


def require_way_back(tx: StepVerbs, migration: Migration) -> None:
    """Raise ``Precondition`` where an undo would have to put back what a clean-up has removed."""
    steps = tx.steps_of(migration.id)
    if former_may_be_gone(steps) and not was_empty(tx, steps):
        raise Precondition(
            f"{migration.name}: what was at the destination before was removed by its clean-up, so there is nothing "
            "that a rollback could put back; what it published stays"
        )
