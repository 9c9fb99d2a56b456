"""Moving a migration on after one of its steps ended, or whenever the advancer looks."""

from collections import Counter
from collections.abc import Sequence

from controlplane.core.changes import Changes
from controlplane.core.migrations import workflow_planning
from controlplane.core.model import Failure, Step
from controlplane.core.states import Direction, StepState
from controlplane.manifests.compiling.params import ParamsUnresolved, compile_params, needed_results
from controlplane.store.port import Tx
from controlplane.store.verbs.steps import StepVerbs


def advance(tx: Tx, migration_id: str, now: float) -> Counter[str]:
    """Make ready what nothing holds and end what is over; return how many steps became ready per class."""
    readied: Counter[str] = Counter()
    while True:
        migration = tx.migration(migration_id)
        assert migration is not None, "a step's migration exists"
        steps = tx.steps_of(migration_id)
        changes = workflow_planning.advance(migration, steps, tx.needs_of(migration_id), now)
        if not changes.step_moves and not changes.migration_moves:
            return readied
        tx.apply(changes)
        equipped = equip_readied(tx, changes, steps, now)
        readied += equipped
        if equipped.total() == len(changes.step_moves):
            return readied
        # A step that could not be given its parameters has failed, which may end the migration: look again.


def equip_readied(tx: StepVerbs, changes: Changes, steps: Sequence[Step], now: float) -> Counter[str]:
    """Give the steps that ``changes`` made ready their parameters; return how many can start per class.

    A step whose parameters cannot be made has failed.
    """
    by_id = {step.id: step for step in steps}
    moves = [move for move in changes.step_moves if move.to_state is StepState.READY]
    readied = [by_id[move.step_id]._replace(direction=move.direction) for move in moves]
    return Counter(step.placement_class for step in readied if _equip(tx, step, steps, now))


def _equip(tx: StepVerbs, step: Step, steps: Sequence[Step], now: float) -> bool:
    """Make the parameters of a step that just became ready; fail the step when they cannot be made."""
    if step.direction is Direction.UNDO:
        return True
    body = tx.body(step.id)
    assert body is not None, "every step has a body"
    if body.params is not None and not step.touched:
        return True  # of a step that was tried they may be those of before a retry that began again
    by_name = {other.name: other.id for other in steps}
    wanted = {name: by_name[name] for name in needed_results(body.template) if name in by_name}
    bodies = tx.bodies(list(wanted.values()))
    results = {name: bodies[step_id].result or b"" for name, step_id in wanted.items()}
    try:
        tx.set_params(step.id, compile_params(step.kind, body.template, results))
    except ParamsUnresolved as error:
        failure = Failure("bad_params", str(error), "correct the workflow's params and start a new migration", False)
        tx.apply(workflow_planning.fail_waiting(step._replace(state=StepState.READY), failure, now))
        return False
    return True
