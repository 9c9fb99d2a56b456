"""Values of rows that a Dataset lets leave its host: admitted only where it does, and gone when their time is over."""

from dataclasses import replace

from controlplane.core.model import Outcome, Step
from controlplane.manifests.compiling import result_values
from controlplane.store.port import Tx
from controlplane.store.verbs.steps import StepVerbs

AT_ONCE = 100


def admitted(tx: StepVerbs, step: Step, outcome: Outcome) -> tuple[Outcome, float]:
    """Return what of a report may be kept, and for how many seconds its values may be; 0 where it holds none.

    An agent withholds what it may not tell. One of before the rule does not know it, so it is held here too.
    """
    if step.kind != result_values.KIND or not outcome.result:
        return outcome, 0.0
    body = tx.body(step.id)
    params = (body.params if body else None) or b""
    mixed = result_values.mixes_values(outcome.result)
    allowed_s = 0.0 if mixed else result_values.shown_for_s(params)
    if not result_values.holds_values(outcome.result):
        return outcome, 0.0
    if allowed_s > 0:
        return outcome, allowed_s
    result = result_values.without_values(params, outcome.result)
    failure = outcome.failure
    if failure is not None and mixed:
        failure = replace(failure, message=result_values.retold(params, result))
    return replace(outcome, result=result, failure=failure), 0.0


def forget(tx: Tx, now: float) -> int:
    """Take the values out of at most ``AT_ONCE`` results whose time is over; return how many were due."""
    due = tx.values_due(now, AT_ONCE)
    for step_id, body in tx.bodies(due).items():
        tx.withhold_values(step_id, result_values.without_values(body.params or b"", body.result or b""))
    return len(due)
