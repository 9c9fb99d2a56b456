"""Checks inside one Workflow: names, order, the pivot, and the parameters of every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from controlplane.manifests.compiling.references import BadReference, Reference, Scope, field_named, parse_reference
from controlplane.manifests.compiling.step_kinds import BUILT_IN
from controlplane.manifests.compiling.step_params import check_literal, check_params
from controlplane.manifests.kinds.model import duration_s
from controlplane.manifests.kinds.workflow import StepSpec, WorkflowSpec
from controlplane.manifests.text.findings import FieldPath, Problem, near_miss, shown, suggestion

# How like a built-in kind another kind's name may be before it counts as a misspelling.
_KIND_LIKENESS = 0.75


def check_workflow(spec: WorkflowSpec) -> list[Problem]:
    """Return everything that is wrong in a workflow by itself. Field paths begin at the document's top."""
    problems = _check_names(spec.steps)
    order = _check_order(spec.steps)
    problems += order
    for index, step in enumerate(spec.steps):
        problems += _check_kind(step, index)
        problems += _check_durations(step, index)
    if any(problem.field[-1] in ("needs", "name") or "needs" in problem.field for problem in problems):
        # Without a sound order nothing can be said about what comes before what.
        return problems
    ancestors = ancestors_of(spec.steps)
    problems += _check_pivot(spec.steps, ancestors)
    for index, step in enumerate(spec.steps):
        scope = Scope(
            spec.parameters, {other.name: other.kind for other in spec.steps}, ancestors[step.name], step.name
        )
        problems += check_params(step.kind, step.params, scope, ("spec", "steps", index, "params"))
        problems += _check_defaults(spec, step, index)
    return problems + _check_unused(spec)


def _check_names(steps: Sequence[StepSpec]) -> list[Problem]:
    problems: list[Problem] = []
    first: dict[str, int] = {}
    for index, step in enumerate(steps):
        if step.name in first:
            message = f"the step {shown(step.name)} is defined twice, first as spec.steps[{first[step.name]}]"
            problems.append(Problem(("spec", "steps", index, "name"), message, "give each step its own name"))
        first.setdefault(step.name, index)
    return problems


def _check_order(steps: Sequence[StepSpec]) -> list[Problem]:
    problems: list[Problem] = []
    names = {step.name for step in steps}
    for index, step in enumerate(steps):
        for position, need in enumerate(step.needs):
            at: FieldPath = ("spec", "steps", index, "needs", position)
            if need == step.name:
                problems.append(Problem(at, f"the step {shown(need)} needs itself", "remove it from its needs"))
            elif need not in names:
                hint = suggestion(need, names - {step.name})
                problems.append(Problem(at, f"{shown(step.name)} needs {shown(need)}, which does not exist", hint))
            elif need in step.needs[:position]:
                problems.append(Problem(at, f"{shown(need)} is named twice", "remove one of the two"))
    if problems:
        return problems
    cycle = find_cycle({step.name: step.needs for step in steps})
    if cycle:
        index = next(index for index, step in enumerate(steps) if step.name == cycle[0])
        message = "these steps wait for each other: " + " -> ".join(cycle)
        problems.append(Problem(("spec", "steps", index, "needs"), message, "remove one of these needs"))
    return problems


def find_cycle(needs: Mapping[str, Sequence[str]]) -> list[str]:
    """Return one cycle, its first name repeated at its end, or [] when there is none. Unknown names are leaves."""
    done: set[str] = set()
    for start in needs:
        if start in done:
            continue
        path: list[str] = [start]
        on_path = {start}
        open_branches = [iter(needs[start])]
        while open_branches:
            name = next(open_branches[-1], None)
            if name is None:
                open_branches.pop()
                finished = path.pop()
                on_path.discard(finished)
                done.add(finished)
            elif name in on_path:
                return [*path[path.index(name) :], name]
            elif name not in done and name in needs:
                path.append(name)
                on_path.add(name)
                open_branches.append(iter(needs[name]))
    return []


def ancestors_of(steps: Sequence[StepSpec]) -> dict[str, frozenset[str]]:
    """Return, for each step of an acyclic workflow, every step that must have succeeded before it."""
    by_name = {step.name: step for step in steps}
    found: dict[str, frozenset[str]] = {}
    for start in by_name:
        seen: set[str] = set()
        waiting = list(by_name[start].needs)
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting.extend(by_name[name].needs)
        found[start] = frozenset(seen)
    return found


def _check_kind(step: StepSpec, index: int) -> list[Problem]:
    if step.kind in BUILT_IN:
        if BUILT_IN[step.kind].in_workflows:
            return []
        message = f"the control plane plans {shown(step.kind)} by itself, once a migration has ended"
        return [
            Problem(("spec", "steps", index, "kind"), message, "remove the step; say spec.retention in the Migration")
        ]
    close = near_miss(step.kind, BUILT_IN, cutoff=_KIND_LIKENESS)
    if not close:
        return []
    hint = f"did you mean {shown(close)}? A kind of your own needs a name less like a built-in one"
    return [Problem(("spec", "steps", index, "kind"), f"{shown(step.kind)} is not a step kind", hint)]


def _check_durations(step: StepSpec, index: int) -> list[Problem]:
    at: FieldPath = ("spec", "steps", index)
    problems: list[Problem] = []
    if duration_s(step.timeouts.progress) > duration_s(step.timeouts.start_to_finish):
        message = "the progress timeout is longer than startToFinish, so it could never fire"
        problems.append(Problem((*at, "timeouts", "progress"), message, "make it shorter"))
    if duration_s(step.retry.backoff.initial) > duration_s(step.retry.backoff.max):
        message = "the first wait is longer than the longest one"
        problems.append(Problem((*at, "retry", "backoff", "initial"), message, "make initial shorter, or max longer"))
    return problems


def _check_pivot(steps: Sequence[StepSpec], ancestors: Mapping[str, frozenset[str]]) -> list[Problem]:
    pivots = [(index, step) for index, step in enumerate(steps) if step.pivot]
    problems = [
        Problem(("spec", "steps", index, "pivot"), f"{shown(pivots[0][1].name)} is the pivot already", "keep one pivot")
        for index, _ in pivots[1:]
    ]
    if problems:
        return problems
    pivot = pivots[0][1] if pivots else None
    for index, step in enumerate(steps):
        problems += _check_side(step, index, pivot, ancestors)
    return problems


def _check_side(
    step: StepSpec, index: int, pivot: StepSpec | None, ancestors: Mapping[str, frozenset[str]]
) -> list[Problem]:
    at: FieldPath = ("spec", "steps", index)
    if pivot is not None and step.name == pivot.name:
        if step.undo == "auto":
            return [Problem((*at, "undo"), "the pivot cannot be undone", "remove undo, or write undo: none")]
        return []
    if pivot is not None and pivot.name in ancestors[step.name]:
        return _check_after(step, pivot, at)
    if pivot is not None and step.name not in ancestors[pivot.name]:
        message = f"{shown(step.name)} is neither before nor after the pivot {shown(pivot.name)}"
        return [Problem((*at, "needs"), message, f"let it need {pivot.name}, or let {pivot.name} need it")]
    return _check_before(step, at)


def _check_before(step: StepSpec, at: FieldPath) -> list[Problem]:
    problems = []
    if step.destructive:
        message = f"{shown(step.name)} destroys source data, and no pivot comes before it"
        problems.append(Problem((*at, "destructive"), message, "let it need a step with pivot: true"))
    built_in = BUILT_IN.get(step.kind)
    if step.undo == "none" and not (built_in is not None and built_in.read_only):
        message = f"{shown(step.name)} can neither be undone nor comes after a pivot"
        problems.append(Problem((*at, "undo"), message, "write undo: auto, or let it need a step with pivot: true"))
    return problems


def _check_after(step: StepSpec, pivot: StepSpec, at: FieldPath) -> list[Problem]:
    problems = []
    if step.undo == "auto":
        message = f"{shown(step.name)} comes after the pivot {shown(pivot.name)}, where nothing is undone"
        problems.append(Problem((*at, "undo"), message, "remove undo, or write undo: none"))
    if step.retry.attempts < 2:
        message = "after the pivot there is only forward, so a step there must be tried more than once"
        problems.append(Problem((*at, "retry", "attempts"), message, "give it at least 2 attempts"))
    return problems


def _check_defaults(spec: WorkflowSpec, step: StepSpec, index: int) -> list[Problem]:
    built_in = BUILT_IN.get(step.kind)
    if built_in is None:
        return []
    problems: list[Problem] = []
    for name, value in step.params.items():
        reference = reference_or_none(value)
        field = field_named(built_in.params_descriptor, name)
        if field is None or reference is None or reference.root != "parameters":
            continue
        default = spec.parameters[reference.parts[0]].default if reference.parts[0] in spec.parameters else None
        if default is None:
            continue
        problem = check_literal(field, default, ("spec", "parameters", reference.parts[0], "default"))
        if problem is not None:
            message = f"this default goes to spec.steps[{index}].params.{name}: {problem.message}"
            problems.append(Problem(problem.field, message, problem.hint))
    return problems


def _check_unused(spec: WorkflowSpec) -> list[Problem]:
    used = {
        reference.parts[0]
        for step in spec.steps
        for reference in references_in(step.params)
        if reference.root == "parameters"
    }
    return [
        Problem(("spec", "parameters", name), f"no step uses the parameter {shown(name)}", "remove it, or use it", True)
        for name in spec.parameters
        if name not in used
    ]


def reference_or_none(value: object) -> Reference | None:
    """Read a value as a reference; None when it is none or a malformed one."""
    try:
        return parse_reference(value)
    except BadReference:
        return None


def references_in(value: object) -> list[Reference]:
    """Return every well-formed reference inside a parameter value, in order."""
    if isinstance(value, Mapping):
        return [reference for item in value.values() for reference in references_in(item)]
    if isinstance(value, list):
        return [reference for item in value for reference in references_in(item)]
    reference = reference_or_none(value)
    return [reference] if reference is not None else []
