"""Documents against each other and against what is applied: missing names, cycles, clashes, what cannot be held."""

from __future__ import annotations

import bisect
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property

from controlplane.manifests.compiling.plans import NotCompilable, compile_migration
from controlplane.manifests.compiling.workflow_checks import find_cycle
from controlplane.manifests.engines.engine import PlaceKey
from controlplane.manifests.engines.spec import EngineSpec
from controlplane.manifests.kinds.dataset import ColumnSpec, DatasetSpec
from controlplane.manifests.kinds.datastore import ENGINES, engine_of, place_key
from controlplane.manifests.kinds.documents import FINDINGS_MAX, Document, Spec, findings_at
from controlplane.manifests.kinds.migration import MigrationSpec
from controlplane.manifests.kinds.workflow import WorkflowSpec
from controlplane.manifests.ready_made import KIND, ready_made, workflows
from controlplane.manifests.text.findings import FieldPath, Finding, Problem, shown, suggestion

Key = tuple[str, str]
_SUGGESTIONS_MAX = 100
_CANDIDATES_MAX = 400


def validate(
    documents: Sequence[Document],
    existing: Mapping[Key, Spec],
    refused: Collection[Key] = (),
    free: Collection[str] = (),
) -> tuple[Finding, ...]:
    """Check parsed documents together with what is applied; a document hides the applied manifest of its name.

    ``existing`` maps (kind, name) to a spec (``documents.load_spec``). It may load lazily: keys are listed only to
    suggest a near miss and to find migrations to the same place; a spec is fetched once, and only where a document
    refers to it. ``refused`` (``Parsed.refused``) names those with findings of their own: they are not also missing.
    ``free`` names migrations that have left their destination: they keep nobody from it.
    """
    world = _World(documents, existing, frozenset(refused), frozenset(free))
    findings: list[Finding] = []
    for document in documents:
        findings += findings_at(document.place, _check(document, world))
        if len(findings) >= FINDINGS_MAX:
            break
    findings += _check_cycle(documents, world)
    return tuple(findings[:FINDINGS_MAX])


def place_taken(name: str, existing: Mapping[Key, Spec], free: Collection[str]) -> str:
    """Say why an applied migration cannot have its destination any more; empty when it can. See ``validate``."""
    world = _World([], existing, frozenset(), frozenset(free))
    spec = world.spec("Migration", name)
    dataset = world.spec("Dataset", spec.dataset) if isinstance(spec, MigrationSpec) else None
    if not isinstance(spec, MigrationSpec) or not isinstance(dataset, DatasetSpec):
        return ""
    problems = _check_places(name, spec, dataset, world)
    return f"{problems[0].message}: {problems[0].hint}" if problems else ""


class _World:
    """Everything by kind and name: the documents first, then what is applied."""

    def __init__(
        self,
        documents: Sequence[Document],
        existing: Mapping[Key, Spec],
        refused: frozenset[Key],
        free: frozenset[str],
    ) -> None:
        self.free = free
        self.documents = {document.key: document for document in documents}
        self.existing = existing
        self.refused = refused
        self.specs: dict[Key, Spec | None] = {document.key: document.spec for document in documents}
        self.names_of_kind: dict[str, list[str]] = {}
        self.backward_of_kind: dict[str, list[str]] = {}
        self.suggested: dict[Key, str] = {}

    def spec(self, kind: str, name: str) -> Spec | None:
        if (kind, name) not in self.specs:
            found = ready_made(kind, name)
            self.specs[kind, name] = self.existing.get((kind, name), found.spec if found else None)
        return self.specs[kind, name]

    def has(self, kind: str, name: str) -> bool:
        known = (self.documents, self.existing, self.refused)
        return any((kind, name) in each for each in known) or ready_made(kind, name) is not None

    def names(self, kind: str) -> list[str]:
        if kind not in self.names_of_kind:
            keys = (*self.documents, *self.existing)
            own = workflows() if kind == KIND else ()
            self.names_of_kind[kind] = sorted({*own, *(name for of_kind, name in keys if of_kind == kind)})
        return self.names_of_kind[kind]

    def near(self, kind: str, name: str) -> str:
        """Suggest what was meant, for the first names that are missing: each search takes milliseconds."""
        otherwise = f"apply a {kind} of that name, in the same command or before"
        if (kind, name) not in self.suggested:
            if len(self.suggested) >= _SUGGESTIONS_MAX:
                return otherwise
            self.suggested[kind, name] = suggestion(name, self._candidates(kind, name), otherwise)
        return self.suggested[kind, name]

    def _candidates(self, kind: str, name: str) -> list[str]:
        """Return every name of a kind, or where there are many those with the same beginning or the same end."""
        names = self.names(kind)
        if len(names) <= _CANDIDATES_MAX:
            return names
        if kind not in self.backward_of_kind:
            self.backward_of_kind[kind] = sorted(known[::-1] for known in names)
        same_end = _around(self.backward_of_kind[kind], name[::-1])
        return [*_around(names, name), *(backward[::-1] for backward in same_end)]

    def datastore(self, name: str) -> EngineSpec | None:
        spec = self.spec("Datastore", name)
        return spec if isinstance(spec, EngineSpec) else None

    @cached_property
    def destinations(self) -> dict[PlaceKey, list[tuple[str, MigrationSpec]]]:
        """Each place to the migrations that write it, in order of name."""
        found: dict[PlaceKey, list[tuple[str, MigrationSpec]]] = {}
        for name in self.names("Migration"):
            spec = self.spec("Migration", name)
            store = self.datastore(spec.to.datastore) if isinstance(spec, MigrationSpec) else None
            if isinstance(spec, MigrationSpec) and store is not None:
                found.setdefault(place_key(store, spec.to.object), []).append((name, spec))
        return found


def _around(ordered: Sequence[str], word: str) -> Sequence[str]:
    at = bisect.bisect_left(ordered, word)
    half = _CANDIDATES_MAX // 2
    return ordered[max(0, at - half) : at + half]


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
    if store is not None:
        problems += _check_options(spec, store)
    if store is not None and engine_of(store).declares_columns and not spec.columns:
        message = f"{store.engine} says too little about types: a dataset there must declare its columns"
        problems.append(Problem(("spec", "columns"), message, "`haulier inspect` proposes them"))
    return problems


def _check_options(spec: DatasetSpec, store: EngineSpec) -> list[Problem]:
    """How a Dataset's files are read can be said only where its engine asks for it."""
    problems = []
    for engine in ENGINES.values():
        for option in engine.dataset_options:
            if getattr(spec, option) is not None and option not in engine_of(store).dataset_options:
                field = DatasetSpec.model_fields[option].alias or option
                message = f"{field} is for {engine.title}, and the Datastore {shown(spec.datastore)} is {store.engine}"
                problems.append(Problem(("spec", field), message, "remove it"))
    return problems


def _check_migration(name: str, spec: MigrationSpec, world: _World) -> list[Problem]:
    problems = _known(world, "Dataset", spec.dataset, ("spec", "dataset"))
    problems += _known(world, "Workflow", spec.workflow, ("spec", "workflow"))
    problems += _known(world, "Datastore", spec.to.datastore, ("spec", "to", "datastore"))
    problems += _known(world, "Datastore", spec.staging, ("spec", "staging"))
    staging = world.datastore(spec.staging)
    if staging is not None and not engine_of(staging).holds_parts:
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
    source, destination = world.datastore(dataset.datastore), world.datastore(spec.to.datastore)
    if destination is None:
        return []
    place = place_key(destination, spec.to.object)
    problems: list[Problem] = []
    if source is not None and place_key(source, dataset.object) == place:
        message = f"the destination is where the dataset {shown(spec.dataset)} lives already"
        problems.append(Problem(("spec", "to"), message, "choose another datastore or object"))
    for other, its in world.destinations.get(place, []):
        if other == name or other in world.free:
            continue
        if its.dataset != spec.dataset:
            message = f"the migration {shown(other)} takes the dataset {shown(its.dataset)} to the same place"
            hint = f"choose another object, or cancel, roll back or delete the migration {other} first"
            problems.append(Problem(("spec", "to", "object"), message, hint))
            break
        if (its.to.datastore, its.to.object) != (spec.to.datastore, spec.to.object):
            # Fences are kept by name: under two names one place would have two, and so two writers at once.
            known_as = f"{its.to.datastore}/{its.to.object}"
            message = f"the migration {shown(other)} writes the same place under the name {shown(known_as)}"
            problems.append(Problem(("spec", "to"), message, "use that name here too"))
            break
    return problems


def _check_columns(spec: MigrationSpec, dataset: DatasetSpec, world: _World) -> list[Problem]:
    destination = world.datastore(spec.to.datastore)
    if destination is None:
        return []
    engine, problems = engine_of(destination), _check_object(spec, destination)
    columns: Iterable[ColumnSpec] = spec.to.columns if spec.transform is not None else dataset.columns
    at: FieldPath = ("spec", "to", "columns") if spec.transform is not None else ("spec", "to", "datastore")
    seen: dict[str, str] = {}
    for index, column in enumerate(columns):
        where = (*at, index, "name") if spec.transform is not None else at
        reason = engine.misfit(column.name)
        twin = seen.setdefault(column.name.casefold(), column.name) if engine.ignores_case else column.name
        if twin != column.name:
            reason = f"{destination.engine} takes {shown(twin)} for the same name"
        if reason:
            message = f"{shown(spec.to.datastore)} cannot hold the column {shown(column.name)}: {reason}"
            problems.append(Problem(where, message, "rename the column in a transform"))
    return problems


def _check_object(spec: MigrationSpec, destination: EngineSpec) -> list[Problem]:
    reason = engine_of(destination).misfit(spec.to.object)
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
    written = [name for name in cycle if ("Dataset", name) in world.documents]
    if not written:
        return []
    turn = cycle.index(written[0])
    shown_cycle = [*cycle[turn:-1], *cycle[: turn + 1]]
    message = "these datasets depend on each other: " + " -> ".join(shown_cycle)
    problem = Problem(("spec", "dependsOn"), message, "remove one of these dependencies")
    return findings_at(world.documents["Dataset", written[0]].place, [problem])
