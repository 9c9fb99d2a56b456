"""From an applied Migration manifest to the steps that the store keeps."""

from collections.abc import Mapping
from dataclasses import dataclass

from controlplane.core.admitting import Limits
from controlplane.core.model import Requirements, StepPlan
from controlplane.manifests import compiling, params
from controlplane.manifests.dataset import DatasetSpec
from controlplane.manifests.documents import Spec, load_spec
from controlplane.manifests.migration import MigrationSpec
from controlplane.manifests.model import duration_s
from controlplane.manifests.workflow import WorkflowSpec
from controlplane.store.port import Resource, Tx


class CannotPlan(Exception):
    """The manifests do not make a migration any more; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A migration ready to be inserted."""

    dataset: str
    workflow: str
    workflow_generation: int
    source: str
    destination: str
    priority: int
    steps: tuple[StepPlan, ...]
    # How long what it leaves behind is kept after its end; None: as the control plane is set.
    staged_kept_s: float | None = None
    former_kept_s: float | None = None


def plan_migration(tx: Tx, resource: Resource) -> Planned:
    """Compile a Migration with the manifests it names, as they are applied now. Raises ``CannotPlan``."""
    migration = load_spec("Migration", resource.spec)
    assert isinstance(migration, MigrationSpec), "the kind decides the model"
    workflow_row = _applied(tx, "Workflow", migration.workflow)
    workflow = load_spec("Workflow", workflow_row.spec)
    dataset = load_spec("Dataset", _applied(tx, "Dataset", migration.dataset).spec)
    assert isinstance(workflow, WorkflowSpec) and isinstance(dataset, DatasetSpec), "the kind decides the model"
    retention = migration.retention
    stores = {
        name: load_spec("Datastore", _applied(tx, "Datastore", name).spec)
        for name in {dataset.datastore, migration.to.datastore, migration.staging}
    }
    try:
        plan = compiling.compile_migration(resource.name, migration, workflow, dataset, stores)  # type: ignore[arg-type]
        steps = tuple(_step(step) for step in plan.steps)
    except (compiling.NotCompilable, params.ParamsUnresolved) as error:
        raise CannotPlan(str(error)) from None
    return Planned(
        plan.dataset,
        plan.workflow,
        workflow_row.generation,
        plan.source,
        plan.destination,
        plan.priority,
        steps,
        *(None if text is None else duration_s(text) for text in (retention.staged, retention.former)),
    )


def limits_of(specs: Mapping[str, Spec], migrations_max: int | None) -> Limits:
    """Return the limits that Datastores set, and that of migrations under way in all."""
    return Limits(_set(specs, "concurrency_max"), _set(specs, "migrations_max"), migrations_max)


def _set(specs: Mapping[str, Spec], field: str) -> dict[str, int]:
    limits = {name: getattr(spec, field, None) for name, spec in specs.items()}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _applied(tx: Tx, kind: str, name: str) -> Resource:
    resource = tx.resource(kind, name)
    if resource is None:
        raise CannotPlan(f"there is no {kind} {name}: apply it first")
    return resource


def _step(plan: compiling.StepPlan) -> StepPlan:
    """Turn a compiled step into the core's value; parameters that need no earlier result are made at once."""
    ready = not params.needed_results(plan.template)
    return StepPlan(
        name=plan.name,
        kind=plan.kind,
        needs=plan.needs,
        template=plan.template,
        params=params.compile_params(plan.kind, plan.template, {}) if ready else None,
        requirements=Requirements(plan.requires.kind, plan.requires.datastores, plan.requires.labels),
        target=plan.target,
        queue_s=plan.queue_s,
        start_to_finish_s=plan.start_to_finish_s,
        progress_s=plan.progress_s,
        attempts_max=plan.attempts_max,
        backoff_initial_s=plan.backoff_initial_s,
        backoff_factor=plan.backoff_factor,
        backoff_max_s=plan.backoff_max_s,
        unreachable_for_s=plan.unreachable_for_s,
        pivot=plan.pivot,
        compensatable=plan.undo == "auto",
        fenced=plan.fenced,
    )
