"""Documents against each other and against what is applied: missing names, cycles, clashes, what cannot be held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

from controlplane.manifests.column_types import clashes_by_case, misfit
from controlplane.manifests.compiling import NotCompilable, compile_migration
from controlplane.manifests.dataset import ColumnSpec, DatasetSpec
from controlplane.manifests.datastore import UNDECLARED_ENGINES, DatastoreSpec, EngineSpec, same_place
from controlplane.manifests.documents import FINDINGS_MAX, Document, Spec, findings_at
from controlplane.manifests.findings import FieldPath, Finding, Problem, shown, suggestion
from controlplane.manifests.migration import MigrationSpec
from controlplane.manifests.workflow import WorkflowSpec
from controlplane.manifests.workflow_checks import find_cycle

Key = tuple[str, str]
_SUGGESTIONS_MAX = 20


def validate(documents: Sequence[Document], existing: Mapping[Key, Spec]) -> tuple[Finding, ...]:
    """Check parsed documents together with what is applied; a document hides the applied manifest of its own name.

    ``existing`` maps (kind, name) to a spec (``documents.load_spec``). It may load lazily: keys are listed only to
    suggest a near miss and to find migrations to the same place; a spec is fetched only where a document refers to it.
    """
    world = _World(documents, existing)
    findings: list[Finding] = []
    for document in documents:
        findings += findings_at(document.place, _check(document, world))
        if len(findings) >= FINDINGS_MAX:
            break
    findings += _check_cycle(documents, world)
    return tuple(findings[:FINDINGS_MAX])


class _World:
    """Everything by kind and name: the documents first, then what is applied."""

    def __init__(self, documents: Sequence[Document], existing: Mapping[Key, Spec]) -> None:
        self.documents = {document.key: document for document in documents}
        self.existing = existing
        self.names_of_kind: dict[str, list[str]] = {}
        self.suggested: dict[Key, str] = {}

    def spec(self, kind: str, name: str) -> Spec | None:
        document = self.documents.get((kind, name))
        return document.spec if document is not None else self.existing.get((kind, name))

    def has(self, kind: str, name: str) -> bool:
        return (kind, name) in self.documents or (kind, name) in self.existing

    def names(self, kind: str) -> list[str]:
        if kind not in self.names_of_kind:
            keys = (*self.documents, *self.existing)
            self.names_of_kind[kind] = sorted({name for of_kind, name in keys if of_kind == kind})
        return self.names_of_kind[kind]

    def near(self, kind: str, name: str) -> str:
        """Suggest what was meant, for the first few names: among ten thousand each search takes a tenth of a second."""
        otherwise = f"apply a {kind} of that name, in the same command or before"
        if (kind, name) not in self.suggested:
            if len(self.suggested) >= _SUGGESTIONS_MAX:
                return otherwise
            self.suggested[kind, name] = suggestion(name, self.names(kind), otherwise)
        return self.suggested[kind, name]

    def datastore(self, name: str) -> DatastoreSpec | None:
        spec = self.spec("Datastore", name)
        return spec if isinstance(spec, EngineSpec) else None

    @cached_property
    def destinations(self) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """(datastore, object) to the migrations that write it, each with its dataset, in order of name."""
        found: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for name in self.names("Migration"):
            spec = self.spec("Migration", name)
            if isinstance(spec, MigrationSpec):
                found.setdefault((spec.to.datastore, spec.to.object), []).append((name, spec.dataset))
        return found


def _check(document: Document, world: _World) -> list[Problem]:
    spec = document.spec
    if isinstance(spec, DatasetSpec):
        return _check_dataset(document.name, spec, world)
    if isinstance(spec, MigrationSpec):
        return _check_migration(document.name, spec, world)
    return []


def _known(world: _World, kind: str, name: str, at: FieldPath) -> list[Problem]:
    if world.has(kind, name):
        return []
    return [Problem(at, f"the {kind} {shown(name)} does not exist", world.near(kind, name))]


def _check_dataset(name: str, spec: DatasetSpec, world: _World) -> list[Problem]:
    problems = _known(world, "Datastore", spec.datastore, ("spec", "datastore"))
    for index, needed in enumerate(spec.depends_on):
        at: FieldPath = ("spec", "dependsOn", index)
        if needed == name:
            problems.append(Problem(at, "a dataset cannot depend on itself", "remove it"))
        else:
            problems += _known(world, "Dataset", needed, at)
    store = world.datastore(spec.datastore)
    if store is not None and store.engine in UNDECLARED_ENGINES and not spec.columns:
        message = f"{store.engine} says too little about types: a dataset there must declare its columns"
        problems.append(Problem(("spec", "columns"), message, "haulier inspect proposes them"))
    return problems


def _check_migration(name: str, spec: MigrationSpec, world: _World) -> list[Problem]:
    problems = _known(world, "Dataset", spec.dataset, ("spec", "dataset"))
    problems += _known(world, "Workflow", spec.workflow, ("spec", "workflow"))
    problems += _known(world, "Datastore", spec.to.datastore, ("spec", "to", "datastore"))
    problems += _known(world, "Datastore", spec.staging, ("spec", "staging"))
    staging = world.datastore(spec.staging)
    if staging is not None and staging.engine != "parquet":
        message = f"parts are staged as Parquet, and {shown(spec.staging)} is {staging.engine}"
        problems.append(Problem(("spec", "staging"), message, "name a Datastore with engine: parquet"))
    dataset = world.spec("Dataset", spec.dataset)
    if not isinstance(dataset, DatasetSpec):
        return problems
    problems += _check_places(name, spec, dataset, world)
    problems += _check_columns(spec, dataset, world)
    workflow = world.spec("Workflow", spec.workflow)
    names = (dataset.datastore, spec.to.datastore, spec.staging)
    stores = {store: found for store in names if (found := world.datastore(store)) is not None}
    if isinstance(workflow, WorkflowSpec) and len(stores) == len(set(names)):
        try:
            compile_migration(name, spec, workflow, dataset, stores)
        except NotCompilable as error:
            problems += error.problems
    return problems


def _check_places(name: str, spec: MigrationSpec, dataset: DatasetSpec, world: _World) -> list[Problem]:
    problems: list[Problem] = []
    source, destination = world.datastore(dataset.datastore), world.datastore(spec.to.datastore)
    same_store = dataset.datastore == spec.to.datastore or (
        source is not None and destination is not None and same_place(source, destination)
    )
    if same_store and dataset.object == spec.to.object:
        message = f"the destination is where the dataset {shown(spec.dataset)} lives already"
        problems.append(Problem(("spec", "to"), message, "choose another datastore or object"))
    for other, other_dataset in world.destinations.get((spec.to.datastore, spec.to.object), []):
        if other != name and other_dataset != spec.dataset:
            message = f"the migration {shown(other)} takes the dataset {shown(other_dataset)} to the same place"
            problems.append(Problem(("spec", "to", "object"), message, "choose another object"))
            break
    return problems


def _check_columns(spec: MigrationSpec, dataset: DatasetSpec, world: _World) -> list[Problem]:
    destination = world.datastore(spec.to.datastore)
    if destination is None:
        return []
    problems = _check_object(spec, destination)
    columns: Iterable[ColumnSpec] = spec.to.columns if spec.transform is not None else dataset.columns
    at: FieldPath = ("spec", "to", "columns") if spec.transform is not None else ("spec", "to", "datastore")
    seen: dict[str, str] = {}
    for index, column in enumerate(columns):
        where = (*at, index, "name") if spec.transform is not None else at
        reason = misfit(destination.engine, column.name)
        twin = (
            seen.setdefault(column.name.casefold(), column.name) if clashes_by_case(destination.engine) else column.name
        )
        if twin != column.name:
            reason = f"{destination.engine} takes {shown(twin)} for the same name"
        if reason:
            message = f"{shown(spec.to.datastore)} cannot hold the column {shown(column.name)}: {reason}"
            problems.append(Problem(where, message, "rename the column in a transform"))
    return problems


def _check_object(spec: MigrationSpec, destination: DatastoreSpec) -> list[Problem]:
    reason = misfit(destination.engine, spec.to.object)
    if not reason:
        return []
    return [Problem(("spec", "to", "object"), f"this name is too long: {reason}", "choose a shorter name")]


def _check_cycle(documents: Sequence[Document], world: _World) -> list[Finding]:
    needs: dict[str, tuple[str, ...]] = {}
    waiting = [document.name for document in documents if document.kind == "Dataset"]
    while waiting:
        name = waiting.pop()
        spec = world.spec("Dataset", name) if name not in needs else None
        if isinstance(spec, DatasetSpec):
            # A dataset that names itself has its own finding.
            needs[name] = tuple(other for other in spec.depends_on if other != name)
            waiting += needs[name]
    cycle = find_cycle(needs)
    if not cycle:
        return []
    # What was applied has no cycle, so a document of this apply is part of this one.
    name = next(name for name in cycle if ("Dataset", name) in world.documents)
    turn = cycle.index(name)
    shown_cycle = [*cycle[turn:-1], *cycle[: turn + 1]]
    message = "these datasets depend on each other: " + " -> ".join(shown_cycle)
    problem = Problem(("spec", "dependsOn"), message, "remove one of these dependencies")
    return findings_at(world.documents["Dataset", name].place, [problem])
