"""A Migration and its Workflow into a plan: one step plan a step, with everything that is known now frozen into it.

Manifests may change while a migration runs. So values of the migration, its parameters and its datastores are written
into the templates here; only the results of earlier steps stay open, and ``params.compile_params`` fills them in later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controlplane.manifests.compiling.references import Reference, field_named
from controlplane.manifests.compiling.step_kinds import BUILT_IN
from controlplane.manifests.compiling.step_params import check_literal
from controlplane.manifests.compiling.templates import MigrationValues, template_of
from controlplane.manifests.compiling.workflow_checks import ancestors_of, reference_or_none, references_in
from controlplane.manifests.engines.spec import EngineSpec
from controlplane.manifests.kinds.dataset import DatasetSpec
from controlplane.manifests.kinds.migration import MigrationSpec
from controlplane.manifests.kinds.model import duration_s
from controlplane.manifests.kinds.workflow import StepSpec, WorkflowSpec
from controlplane.manifests.text.findings import FieldPath, Problem, shown, suggestion


@dataclass(frozen=True, slots=True)
class Requires:
    """What a step asks of an agent: its kind, all of these labels, and reach of all of these datastores (sorted)."""

    kind: str
    labels: tuple[tuple[str, str], ...]
    datastores: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """One step of a migration. Times are seconds."""

    name: str
    kind: str
    needs: tuple[str, ...]
    # JSON for ``params.compile_params``; opaque to everybody else.
    template: str
    requires: Requires
    # Most steps at once, for those datastores of ``requires`` that set a limit.
    budgets: tuple[tuple[str, int], ...]
    # Write target that its fences belong to.
    target: str
    queue_s: float
    start_to_finish_s: float
    progress_s: float
    attempts_max: int
    backoff_initial_s: float
    backoff_factor: float
    backoff_max_s: float
    unreachable_for_s: float
    pivot: bool
    # "auto" or "none".
    undo: str
    # False where no destination can keep a second attempt out, so that a pause has to.
    fenced: bool = True


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """A migration as it will run. ``source``, ``destination`` and ``staging`` are names of datastores."""

    name: str
    dataset: str
    workflow: str
    source: str
    destination: str
    staging: str
    priority: int
    start_automatically: bool
    steps: tuple[CompiledStep, ...]


class NotCompilable(ValueError):
    """A migration that does not fit its workflow, dataset or datastores. ``problems`` point into its manifest."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(problem.message for problem in problems))


def compile_migration(
    name: str,
    migration: MigrationSpec,
    workflow: WorkflowSpec,
    dataset: DatasetSpec,
    datastores: Mapping[str, EngineSpec],
) -> MigrationPlan:
    """Plan a migration. ``datastores`` holds at least its source, destination and staging. Raises NotCompilable."""
    problems = check_fit(migration, workflow)
    for role, wanted in (
        ("dataset", dataset.datastore),
        ("to", migration.to.datastore),
        ("staging", migration.staging),
    ):
        if wanted not in datastores:
            problems.append(Problem(("spec", role), f"the datastore {shown(wanted)} does not exist", "apply it first"))
    if problems:
        raise NotCompilable(problems)
    steps = _compile_steps(name, migration, workflow, dataset, datastores)
    return MigrationPlan(
        name=name,
        dataset=migration.dataset,
        workflow=migration.workflow,
        source=dataset.datastore,
        destination=migration.to.datastore,
        staging=migration.staging,
        priority=dataset.priority if migration.priority is None else migration.priority,
        start_automatically=migration.start == "auto",
        steps=steps,
    )


def compile_workflow(
    name: str,
    migration: MigrationSpec,
    workflow: WorkflowSpec,
    dataset: DatasetSpec,
    datastores: Mapping[str, EngineSpec],
) -> tuple[CompiledStep, ...]:
    """Plan the steps of a migration alone. See ``compile_migration``."""
    return compile_migration(name, migration, workflow, dataset, datastores).steps


def check_fit(migration: MigrationSpec, workflow: WorkflowSpec) -> list[Problem]:
    """Return where a migration does not give its workflow what that asks for. Field paths are the Migration's."""
    problems = _check_parameters(migration, workflow)
    used = {
        reference.parts[0]
        for step in workflow.steps
        for reference in references_in(step.params)
        if reference.root == "migration"
    }
    chosen = f"the workflow {shown(migration.workflow)}"
    if "transform" in used and migration.transform is None:
        problems.append(
            Problem(("spec", "transform"), f"{chosen} needs a transform", "add transform: SELECT … FROM input")
        )
    if "transform" not in used and migration.transform is not None:
        hint = "choose a workflow with a transform step, or remove transform"
        problems.append(Problem(("spec", "transform"), f"{chosen} never runs a transform", hint))
    if "testQueries" not in used and migration.test_queries:
        hint = "give its validate step testQueries: ${migration.testQueries}, or remove testQueries"
        problems.append(Problem(("spec", "testQueries"), f"{chosen} never asks test queries", hint))
    if "ifExists" not in used and migration.to.if_exists == "replace":
        hint = 'give its load step ifExists: "${migration.ifExists}", or remove ifExists'
        problems.append(Problem(("spec", "to", "ifExists"), f"{chosen} never replaces what is there", hint))
    if "waive" not in used and migration.waive:
        hint = 'give its load step waive: "${migration.waive}", or remove waive'
        problems.append(Problem(("spec", "waive"), f"{chosen} waives nothing", hint))
    return problems


def _check_parameters(migration: MigrationSpec, workflow: WorkflowSpec) -> list[Problem]:
    problems: list[Problem] = []
    for given in migration.parameters:
        if given not in workflow.parameters:
            message = f"the workflow {shown(migration.workflow)} has no parameter {shown(given)}"
            hint = suggestion(given, workflow.parameters, "remove it")
            problems.append(Problem(("spec", "parameters", given), message, hint, at_key=True))
    for name, parameter in workflow.parameters.items():
        if parameter.default is None and migration.parameters.get(name) is None:
            message = f"the workflow {shown(migration.workflow)} needs the parameter {shown(name)}"
            problems.append(Problem(("spec", "parameters", name), message, f"add {name} under spec.parameters"))
    for step in workflow.steps:
        problems += _check_parameter_values(migration, step)
    return problems


def _check_parameter_values(migration: MigrationSpec, step: StepSpec) -> list[Problem]:
    built_in = BUILT_IN.get(step.kind)
    problems: list[Problem] = []
    for field_name, value in step.params.items() if built_in is not None else ():
        reference = reference_or_none(value)
        field = field_named(built_in.params_descriptor, field_name) if built_in is not None else None
        if field is None or reference is None or reference.root != "parameters":
            continue
        given = migration.parameters.get(reference.parts[0])
        at: FieldPath = ("spec", "parameters", reference.parts[0])
        problem = check_literal(field, given, at) if given is not None else None
        if problem is not None:
            message = f"the step {shown(step.name)} takes this as {field_name}: {problem.message}"
            problems.append(Problem(at, message, problem.hint))
    return problems


def _compile_steps(
    name: str,
    migration: MigrationSpec,
    workflow: WorkflowSpec,
    dataset: DatasetSpec,
    datastores: Mapping[str, EngineSpec],
) -> tuple[CompiledStep, ...]:
    values = MigrationValues.of(name, migration, workflow, dataset, datastores)
    reach = _Reach(migration, dataset, {step.name: step for step in workflow.steps})
    after_pivot = _from_pivot_on(workflow.steps)
    plans: list[CompiledStep] = []
    problems: list[Problem] = []
    for step in workflow.steps:
        touched = tuple(sorted(reach.touched(step)))
        labels, problem = _labels(step, touched, datastores)
        if problem is not None:
            problems.append(problem)
        template = template_of(step, values, {other.name: other.kind for other in workflow.steps})
        built_in = BUILT_IN.get(step.kind)
        nothing_to_undo = step.name in after_pivot or (built_in is not None and built_in.read_only)
        undo = step.undo or ("none" if nothing_to_undo else "auto")
        plans.append(_plan(name, migration, step, template, Requires(step.kind, labels, touched), datastores, undo))
    if problems:
        raise NotCompilable(problems)
    return tuple(plans)


def _plan(
    name: str,
    migration: MigrationSpec,
    step: StepSpec,
    template: str,
    requires: Requires,
    datastores: Mapping[str, EngineSpec],
    undo: str,
) -> CompiledStep:
    built_in = BUILT_IN.get(step.kind)
    publishes = built_in is not None and built_in.writes_destination
    limits = ((store, datastores[store].concurrency_max) for store in requires.datastores)
    return CompiledStep(
        name=step.name,
        kind=step.kind,
        needs=step.needs,
        template=template,
        requires=requires,
        budgets=tuple((store, limit) for store, limit in limits if limit is not None),
        target=f"{migration.to.datastore}/{migration.to.object}" if publishes else f"staging/{name}/{step.name}",
        queue_s=duration_s(step.timeouts.queue),
        start_to_finish_s=duration_s(step.timeouts.start_to_finish),
        progress_s=duration_s(step.timeouts.progress),
        attempts_max=step.retry.attempts,
        backoff_initial_s=duration_s(step.retry.backoff.initial),
        backoff_factor=step.retry.backoff.factor,
        backoff_max_s=duration_s(step.retry.backoff.max),
        unreachable_for_s=duration_s(step.retry.unreachable_for),
        pivot=step.pivot,
        undo=undo,
        fenced=built_in is None or built_in.fenced,
    )


def _from_pivot_on(steps: Sequence[StepSpec]) -> frozenset[str]:
    pivot = next((step.name for step in steps if step.pivot), None)
    if pivot is None:
        return frozenset()
    ancestors = ancestors_of(steps)
    return frozenset(step.name for step in steps if step.name == pivot or pivot in ancestors[step.name])


def _labels(
    step: StepSpec, touched: Sequence[str], datastores: Mapping[str, EngineSpec]
) -> tuple[tuple[tuple[str, str], ...], Problem | None]:
    asked: dict[str, tuple[str, str]] = {}
    wishes = [(f"the step {shown(step.name)}", step.placement.labels)]
    wishes += [(f"the datastore {shown(store)}", datastores[store].placement.labels) for store in touched]
    for who, labels in wishes:
        for key, value in labels.items():
            earlier = asked.setdefault(key, (value, who))
            if earlier[0] != value:
                message = (
                    f"no agent can run the step {shown(step.name)}: {earlier[1]} needs {key}={earlier[0]}, "
                    f"and {who} needs {key}={value}"
                )
                hint = "choose datastores that one agent reaches, or change their placement"
                return (), Problem(("spec", "workflow"), message, hint)
    return tuple(sorted((key, value) for key, (value, _) in asked.items())), None


def _names_place(reference: Reference, built_in: bool) -> bool:
    """Say whether a reference to a location means going there. Other kinds may go wherever it points."""
    return not built_in or len(reference.parts) == 1 or reference.parts[1:] == ("datastore",)


class _Reach:
    """Which datastores a step touches: those that it refers to, and where an earlier step staged what it reads."""

    def __init__(self, migration: MigrationSpec, dataset: DatasetSpec, steps: Mapping[str, StepSpec]) -> None:
        self.named = {
            "source": dataset.datastore,
            "destination": migration.to.datastore,
            "staging": migration.staging,
        }
        self.steps = steps

    def touched(self, step: StepSpec) -> frozenset[str]:
        """Return names of datastores."""
        return self._of(references_in(step.params), step.kind in BUILT_IN)

    def _of(self, references: Sequence[Reference], built_in: bool) -> frozenset[str]:
        found: set[str] = set()
        for reference in references:
            if reference.root == "migration" and reference.parts[0] in self.named and _names_place(reference, built_in):
                found.add(self.named[reference.parts[0]])
            elif reference.root == "steps" and reference.parts[1:2] == ("output",):
                found |= self._staged_by(self.steps[reference.parts[0]])
        return frozenset(found)

    def _staged_by(self, step: StepSpec) -> frozenset[str]:
        if step.kind not in BUILT_IN:
            return self.touched(step)
        place = step.params.get("staging", step.params.get("input"))
        return self._of(references_in(place), built_in=True)
