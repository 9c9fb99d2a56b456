"""A workflow by itself: order, references, parameters, and what may come before a pivot."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.manifests.compiling.workflow_checks import find_cycle
from tests.unit.controlplane.manifests.written import findings_of, only_finding, workflow

_EXTRACT = "- {name: extract, kind: extract, params: {source: '${migration.source}', staging: '${migration.staging}'}}"
_LOAD = (
    "- {name: load, kind: load, needs: [extract], "
    "params: {input: '${steps.extract.output}', destination: '${migration.destination}'}}"
)


def _steps(*steps: str) -> str:
    return workflow("\n".join(steps))


@pytest.mark.parametrize(
    ("steps", "line", "field", "message", "hint"),
    [
        (["- {name: a, kind: acme}", "- {name: a, kind: acme}"], 7, "spec.steps[1].name", "defined twice", ""),
        (["- {name: a, kind: acme, needs: [a]}"], 6, "spec.steps[0].needs[0]", "needs itself", "remove"),
        (
            ["- {name: extract, kind: acme}", "- {name: b, kind: acme, needs: [extrat]}"],
            7,
            "spec.steps[1].needs[0]",
            '"extrat", which does not exist',
            'did you mean "extract"?',
        ),
        (
            ["- {name: a, kind: acme}", "- {name: b, kind: acme, needs: [a, a]}"],
            7,
            "spec.steps[1].needs[1]",
            "named twice",
            "",
        ),
        (
            [
                "- {name: a, kind: x, needs: [c]}",
                "- {name: b, kind: x, needs: [a]}",
                "- {name: c, kind: x, needs: [b]}",
            ],
            6,
            "spec.steps[0].needs",
            "a -> c -> b -> a",
            "remove one",
        ),
        (["- {name: a, kind: extarct}"], 6, "spec.steps[0].kind", "is not a step kind", '"extract"'),
        (["- {name: a, kind: acme, retries: 3}"], 6, "spec.steps[0].retries", "no field", '"retry"'),
        (["- {name: a, kind: acme, needs: b}"], 6, "spec.steps[0].needs", "must be a list", ""),
        (["- {name: a.b, kind: acme}"], 6, "spec.steps[0].name", "a name has", '"a-b"'),
        (["- {name: a, kind: acme, retry: {attempts: 0}}"], 6, "spec.steps[0].retry.attempts", "or equal to 1", ""),
        (
            ["- {name: a, kind: acme, retry: {backoff: {initial: 2m}}}"],
            6,
            "spec.steps[0].retry.backoff.initial",
            "longer than the longest",
            "",
        ),
        (
            ["- {name: a, kind: acme, timeouts: {startToFinish: 1m}}"],
            6,
            "spec.steps[0].timeouts",
            "could never fire",
            "shorter",
        ),
    ],
)
def test_mistakes_of_form_and_order(steps: list[str], line: int, field: str, message: str, hint: str) -> None:
    finding = only_finding(_steps(*steps))
    assert finding.line == line
    assert finding.field.startswith(field)
    assert message in finding.message
    assert hint in finding.hint


@pytest.mark.parametrize(
    ("params", "field", "message", "hint"),
    [
        ("{source: '${migration.source}'}", "staging", "needs the parameter staging", "${migration.staging}"),
        ("{sorce: '${migration.source}'}", "sorce", "not a parameter of extract", '"source"'),
        ("{source: '${migration.sorce}'}", "source", "names nothing in a migration", "${migration.source}?"),
        ("{source: '${migratoin.source}'}", "source", "names nothing", "${migration.source}?"),
        ("{source: '${migration}'}", "source", "not complete", "${migration.source}"),
        ("{source: '${migration.}'}", "source", "not complete", ""),
        ("{source: '${other.x}'}", "source", "names nothing", "begins with migration"),
        ("{source: 'x${migration.source}'}", "source", "the whole value", ""),
        ("{source: '${migration.source'}", "source", "the whole value", ""),
        ("{source: '${migration.staging}'}", "source", "takes a DatasetLocation", "${migration.source}"),
        ("{source: '${migration.source.datstore}'}", "source", "does not have", '"datastore"'),
        ("{source: '${migration.name.x}'}", "source", "goes too deep", ""),
        ("{source: '${migration.source.columns.name}'}", "source", "goes too deep", ""),
        ("{source: {dataset: x}}", "source", "takes a DatasetLocation by reference", "${migration.source}"),
        ("{source: '${steps.lod.output}'}", "source", "which does not exist", 'did you mean "load"?'),
        ("{source: '${steps.extract.output}'}", "source", "names the step it stands in", ""),
        ("{source: '${steps.load.rows}'}", "source", "need not have run before", "add load to the needs of extract"),
        ("{source: '${parameters.rows}'}", "source", "does not declare", "declare it"),
        ("{partRowsMax: many}", "partRowsMax", "must be a whole number", ""),
        ("{partRowsMax: -1}", "partRowsMax", "must be between 0", ""),
        ("{partRowsMax: true}", "partRowsMax", "must be a whole number", ""),
        ("{partRowsMax: '${migration.name}'}", "partRowsMax", "takes a whole number", ""),
        ("{partRowsMax: 1, part_rows_max: 2}", "part_rows_max", "given twice", ""),
    ],
)
def test_parameters_of_a_built_in_kind(params: str, field: str, message: str, hint: str) -> None:
    findings = findings_of(_steps(f"- {{name: extract, kind: extract, params: {params}}}", _LOAD))
    (finding,) = [found for found in findings if found.field == f"spec.steps[0].params.{field}"]
    assert finding.line == 6
    assert message in finding.message
    assert hint in finding.hint


@pytest.mark.parametrize(
    ("params", "message", "hint"),
    [
        ("input: '${steps.extract.outptu}'", "does not have", '"output"'),
        ("input: '${steps.extract}'", "names a step, not its result", "${steps.extract.output}"),
        ("input: '${steps.extract.output.rows}'", "takes a Staged, and ${steps.extract.output.rows} is a whole", ""),
        ("input: '${steps.extract.output}', ifExists: repalce", "must be one of refuse, replace", '"replace"'),
        ("input: '${steps.extract.output}', ifExists: 2", "must be one of refuse, replace", "known: refuse"),
        ("input: '${steps.extract.output}', ifExists: unspecified", "must be one of refuse, replace", ""),
        ("input: '${steps.extract.output}', ifExists: '${migration.name}'", "takes a IfExists", ""),
    ],
)
def test_parameters_of_load(params: str, message: str, hint: str) -> None:
    params += ", destination: '${migration.destination}'"
    load = f"- {{name: load, kind: load, needs: [extract], params: {{{params}}}}}"
    finding = only_finding(_steps(_EXTRACT, load))
    assert finding.line == 7
    assert message in finding.message
    assert hint in finding.hint


def test_what_is_needed_by_what_is_needed_may_be_referred_to() -> None:
    last = "- {name: last, kind: acme, needs: [load], params: {a: [{b: '${steps.extract.output.rows}'}]}}"
    assert findings_of(_steps(_EXTRACT, _LOAD, last)) == []
    wrong = last.replace("steps.extract.output.rows", "steps.extract.output.rwos")
    assert only_finding(_steps(_EXTRACT, _LOAD, wrong)).field == "spec.steps[2].params.a[0].b"


def test_a_kind_of_ones_own_may_take_and_give_anything() -> None:
    steps = _steps(
        "- {name: first, kind: acme-index, params: {deep: {x: [1, '${migration.source.object}']}}}",
        "- {name: extract, kind: extract, needs: [first], params: "
        "{source: '${migration.source}', staging: '${migration.staging}', partRowsMax: '${steps.first.any.thing}'}}",
    )
    assert findings_of(steps) == []


def test_a_parameters_default_is_checked_where_it_goes() -> None:
    step = _EXTRACT.replace("}}", ", partRowsMax: '${parameters.rows}'}}")
    finding = only_finding(workflow(step, parameters="{rows: {default: many}}"))
    assert (finding.line, finding.field) == (5, "spec.parameters.rows.default")
    assert "spec.steps[0].params.partRowsMax: this must be a whole number" in finding.message
    assert findings_of(workflow(step, parameters="{rows: {default: 5}}")) == []
    assert findings_of(workflow(step, parameters="{rows: {description: required}}")) == []
    assert "no step uses" in only_finding(workflow(_EXTRACT, parameters="{rows: {default: 5}}")).message


_PIVOT = "- {name: cut, kind: acme-cut, needs: [a], pivot: true}"
_A = "- {name: a, kind: acme}"


@pytest.mark.parametrize(
    ("steps", "field", "message"),
    [
        ([_A, _PIVOT, "- {name: c, kind: acme, needs: [cut], pivot: true}"], "[2].pivot", "is the pivot already"),
        ([_A, _PIVOT.replace("true", "true, undo: auto")], "[1].undo", "the pivot cannot be undone"),
        ([_A, _PIVOT, "- {name: c, kind: acme, needs: [cut], undo: auto}"], "[2].undo", "where nothing is undone"),
        ([_A, _PIVOT, "- {name: c, kind: acme, needs: [cut], retry: {attempts: 1}}"], "[2].retry.attempts", "forward"),
        ([_A, _PIVOT, "- {name: c, kind: acme, needs: [a]}"], "[2].needs", "neither before nor after"),
        (["- {name: a, kind: acme, undo: none}"], "[0].undo", "can neither be undone nor"),
        (["- {name: a, kind: acme, undo: none}", _PIVOT], "[0].undo", "can neither be undone nor"),
        (["- {name: a, kind: acme, destructive: true}", _PIVOT], "[0].destructive", "no pivot comes before"),
        ([_A.replace("}", ", destructive: true}")], "[0].destructive", "no pivot comes before"),
    ],
)
def test_what_stands_on_which_side_of_the_pivot(steps: list[str], field: str, message: str) -> None:
    finding = only_finding(_steps(*steps))
    assert finding.field == f"spec.steps{field}"
    assert message in finding.message


def test_after_the_pivot_a_step_may_destroy() -> None:
    assert findings_of(_steps(_A, _PIVOT, "- {name: c, kind: acme, needs: [cut], destructive: true}")) == []


def test_reading_has_nothing_to_undo() -> None:
    validate = (
        "- {name: validate, kind: validate, needs: [load], undo: none, params: {source: '${migration.source}', "
        "extracted: '${steps.extract.output}', loaded: '${steps.extract.output}', "
        "destination: '${migration.destination}'}}"
    )
    assert findings_of(_steps(_EXTRACT, _LOAD, validate)) == []


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefg"), max_size=3), max_size=6))
def test_a_cycle_is_found_exactly_when_there_is_one(needs: dict[str, list[str]]) -> None:
    cycle = find_cycle(needs)
    remaining = {name: {need for need in wanted if need in needs} for name, wanted in needs.items()}
    while free := [name for name, wanted in remaining.items() if not wanted & remaining.keys()]:
        for name in free:
            del remaining[name]
    assert bool(cycle) == bool(remaining)
    if cycle:
        assert cycle[0] == cycle[-1]
        assert all(need in needs[name] for name, need in itertools.pairwise(cycle))


def test_a_long_chain_needs_no_deep_stack() -> None:
    assert find_cycle({str(n): [str(n + 1)] for n in range(100_000)}) == []
