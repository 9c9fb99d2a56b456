"""`run_program` in manifests: a name and typed values; no fence, so a pause comes before a second try."""

from __future__ import annotations

import pytest
from haulier.v1 import kinds_pb2

from controlplane.manifests.compiling.params import compile_params
from tests.unit.controlplane.manifests.compiling.test_plans import _EXTRACTED, _plan_of
from tests.unit.controlplane.manifests.written import migration, only_finding, workflow

EXTRACT = "- {name: extract, kind: extract, params: {source: '${migration.source}', staging: '${migration.staging}'}}"


def run(values: str) -> str:
    return f"- name: reindex\n  kind: run_program\n  needs: [extract]\n  params: {{program: reindex, values: {values}}}"


def test_values_are_written_out_and_results_filled_in() -> None:
    values = '{table: "${migration.destination.object}", jobs: 2, rows: "${steps.extract.output.rows}"}'
    steps = f"{EXTRACT}\n{run(values)}"
    plan = _plan_of(workflow(steps) + "---\n" + migration(workflow="own"))
    step = plan.steps[1]
    assert not step.fenced and plan.steps[0].fenced
    assert step.target == "staging/own/reindex"
    params = kinds_pb2.RunProgramParams.FromString(compile_params(step.kind, step.template, {"extract": _EXTRACTED}))
    assert params.program == "reindex"
    assert dict(params.values) == {"table": "own_airlines", "jobs": "2", "rows": str(2**63 + 5)}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("[a]", "values by name"),
        ("{jobs: 1.5}", "text or a whole number"),
        ("{jobs: true}", "text or a whole number"),
        ("{jobs: [1]}", "text or a whole number"),
        ("{at: '${migration.destination}'}", "is a DatasetLocation"),
        ("{at: '${steps.extract.outptu}'}", "outptu"),
    ],
)
def test_a_value_of_a_wrong_type_is_named(values: str, message: str) -> None:
    assert message in only_finding(workflow(f"{EXTRACT}\n{run(values)}")).message


def test_the_program_must_be_named() -> None:
    assert "program" in only_finding(workflow("- {name: a, kind: run_program, params: {values: {}}}")).message
