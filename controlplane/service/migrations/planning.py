"""From an applied Migration manifest to the steps that the store keeps."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from controlplane.core.model import Migration, Requirements, StepPlan
from controlplane.core.steps.admission import Limits
from controlplane.core.steps.placement import class_of
from controlplane.manifests.compiling import params
from controlplane.manifests.compiling import plans as compiling
from controlplane.manifests.compiling.taking import Taken, taken
from controlplane.manifests.diffing import canonical_json
from controlplane.manifests.kinds.dataset import DatasetSpec
from controlplane.manifests.kinds.documents import Spec, load_spec
from controlplane.manifests.kinds.migration import MigrationSpec
from controlplane.manifests.kinds.model import duration_s
from controlplane.manifests.kinds.workflow import WorkflowSpec
from controlplane.manifests.ready_made import ready_made
from controlplane.service.inventory.in_use import READY_MADE, resource_in_use
from controlplane.store.port import Tx
from controlplane.store.verbs.inventory import InventoryVerbs, Resource
from controlplane.store.verbs.steps import StepVerbs


class CannotPlan(Exception):
    """The manifests do not make a migration any more; the message says which and why."""


class NotKnown(CannotPlan):
    """What a migration was started with is not in the store any more."""


Read = Callable[[str, str], tuple[int, str]]  # kind, name → generation and spec as JSON; raises CannotPlan


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
    place: str = ""  # write target of what it publishes at its destination
    basis: Mapping[str, int] = field(default_factory=dict)  # "Kind/name" → generation it was planned from
    # How long what it leaves behind is kept after its end; None: as the control plane is set.
    staged_kept_s: float | None = None
    former_kept_s: float | None = None


@dataclass(frozen=True, slots=True)
class Replanned:
    """What a retry that begins again would do: the plan, and what of the source side it takes."""

    planned: Planned | None
    taken: tuple[Taken, ...]


def plan_migration(tx: Tx, resource: Resource) -> Planned:
    """Compile a Migration with the manifests it names, as they are applied now. Raises ``CannotPlan``."""
    return _plan(resource.name, (resource.generation, resource.spec), partial(_applied, tx))


def replan_migration(tx: Tx, migration: Migration) -> Replanned:
    """Compile a started migration anew with the source side as it is applied now; all else stays as it was started.

    Raises ``CannotPlan``.
    """
    basis = tx.basis(migration.id)
    before = partial(_as_started, tx, migration, basis)
    definition = before("Migration", migration.name)
    dataset_then, dataset_now = before("Dataset", migration.dataset), _applied(tx, "Dataset", migration.dataset)
    source_now = str(json.loads(dataset_now[1])["datastore"])
    store_then, store_now = before("Datastore", migration.source), _applied(tx, "Datastore", source_now)
    spec = load_spec("Migration", definition[1])
    assert isinstance(spec, MigrationSpec), "the kind decides the model"
    destinations = {spec.to.datastore, spec.staging}

    def read(kind: str, name: str) -> tuple[int, str]:
        if kind == "Dataset":
            return dataset_now
        # A datastore that is source and destination at once stays as it was: the destination never changes.
        if kind == "Datastore" and name == source_now and name not in destinations:
            return store_now
        return before(kind, name)

    if source_now in destinations:
        store_now = store_then if source_now == migration.source else store_now
    found = taken(
        (migration.dataset, dataset_then[1], dataset_now[1]),
        (migration.source, store_then[1]),
        (source_now, store_now[1]),
    )
    return Replanned(_plan(migration.name, definition, read), found)


def _plan(name: str, definition: tuple[int, str], read: Read) -> Planned:
    """Compile a Migration with the manifests that ``read`` gives. Raises ``CannotPlan``."""
    basis = {f"Migration/{name}": definition[0]}

    def loaded(kind: str, of: str) -> Spec:
        basis[f"{kind}/{of}"], spec = read(kind, of)
        return load_spec(kind, spec)

    migration = load_spec("Migration", definition[1])
    assert isinstance(migration, MigrationSpec), "the kind decides the model"
    workflow = loaded("Workflow", migration.workflow)
    dataset = loaded("Dataset", migration.dataset)
    assert isinstance(workflow, WorkflowSpec) and isinstance(dataset, DatasetSpec), "the kind decides the model"
    retention = migration.retention
    names = {dataset.datastore, migration.to.datastore, migration.staging}
    stores = {of: loaded("Datastore", of) for of in sorted(names)}
    try:
        plan = compiling.compile_migration(name, migration, workflow, dataset, stores)  # type: ignore[arg-type]
        steps = tuple(_step(step) for step in plan.steps)
    except (compiling.NotCompilable, params.ParamsUnresolved) as error:
        raise CannotPlan(str(error)) from None
    return Planned(
        dataset=plan.dataset,
        workflow=plan.workflow,
        workflow_generation=basis[f"Workflow/{plan.workflow}"],
        source=plan.source,
        destination=plan.destination,
        priority=plan.priority,
        steps=steps,
        place=f"{migration.to.datastore}/{migration.to.object}",
        basis=basis,
        staged_kept_s=None if retention.staged is None else duration_s(retention.staged),
        former_kept_s=None if retention.former is None else duration_s(retention.former),
    )


def limits_of(specs: Mapping[str, Spec], migrations_max: int | None) -> Limits:
    """Return the limits that Datastores set, and that of migrations under way in all."""
    return Limits(_set(specs, "concurrency_max"), _set(specs, "migrations_max"), migrations_max)


def _set(specs: Mapping[str, Spec], field: str) -> dict[str, int]:
    limits = {name: getattr(spec, field, None) for name, spec in specs.items()}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _applied(tx: InventoryVerbs, kind: str, name: str) -> tuple[int, str]:
    resource = resource_in_use(tx, kind, name)
    if resource is None:
        raise CannotPlan(f"there is no {kind} {name}: apply it first")
    return resource.generation, resource.spec


def _as_started(
    tx: InventoryVerbs, migration: Migration, basis: Mapping[str, int], kind: str, name: str
) -> tuple[int, str]:
    """Read a manifest in the generation that a migration was planned from."""
    own = ready_made(kind, name)
    if own is not None and basis.get(f"{kind}/{name}") == READY_MADE:
        return READY_MADE, canonical_json(own.spec)
    # A store of before kept no basis: what was applied when the migration started is what it was planned from.
    generation = basis.get(f"{kind}/{name}") or tx.generation_at(kind, name, migration.created_at)
    spec = tx.generation_spec(kind, name, generation)
    if spec is None:
        raise NotKnown(f"the {kind} {name} that {migration.name} was started with is not known any more")
    return generation, spec


def keep_class(tx: StepVerbs, plan: StepPlan, classes: dict[str, Requirements]) -> str:
    """Return the placement class of a step, kept in the store and in ``classes``."""
    placement = class_of(plan.requirements)
    if placement not in classes:
        tx.put_class(placement, plan.requirements)
        classes[placement] = plan.requirements
    return placement


def _step(plan: compiling.CompiledStep) -> StepPlan:
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
