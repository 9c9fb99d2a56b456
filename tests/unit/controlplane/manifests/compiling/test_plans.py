"""A migration and its workflow become step plans, and templates become what agents decode."""

from __future__ import annotations

import json
from typing import Any

import pytest
from haulier.v1 import kinds_pb2

from controlplane.manifests.compiling.params import ParamsUnresolved, compile_params, decode_result, needed_results
from controlplane.manifests.compiling.plans import MigrationPlan, NotCompilable, compile_migration, compile_workflow
from controlplane.manifests.kinds.documents import Spec
from controlplane.manifests.parsing import parse
from controlplane.manifests.text.findings import SourceFile
from tests.unit.controlplane.manifests.written import example_specs, migration, workflow


def _plan(name: str, specs: dict[tuple[str, str], Spec] | None = None) -> MigrationPlan:
    found: Any = example_specs() if specs is None else specs
    own = found["Migration", name]
    stores = {store: spec for (kind, store), spec in found.items() if kind == "Datastore"}
    return compile_migration(name, own, found["Workflow", own.workflow], found["Dataset", own.dataset], stores)


def _plan_of(text: str) -> MigrationPlan:
    parsed = parse([SourceFile("a.yaml", text.encode())])
    assert parsed.findings == ()
    return _plan("own", {**example_specs(), **{document.key: document.spec for document in parsed.documents}})


_STAGED = kinds_pb2.Staged(
    datastore=kinds_pb2.Datastore(name="staging", parquet=kinds_pb2.ParquetStore(root="/srv/staging")),
    directory="airlines-to-warehouse/extract/att_1",
    columns=[kinds_pb2.Column(name="carrier", type=kinds_pb2.COLUMN_TYPE_TEXT, required=True)],
    parts=[kinds_pb2.StagedPart(file="0.parquet", rows=2**40, size_bytes=7, digest=b"\1" * 16, file_sha256=b"\2" * 32)],
    rows=2**63 + 5,
    digest=b"\xff" * 16,
)
_EXTRACTED = kinds_pb2.ExtractResult(output=_STAGED).SerializeToString()
_LOADED = kinds_pb2.LoadResult(rows=3, published_fence=2**62 + 1).SerializeToString()


def test_a_plan_carries_order_times_targets_and_needs() -> None:
    plan = _plan("airlines-to-warehouse")
    assert (plan.source, plan.destination, plan.staging) == ("flights-csv", "warehouse", "staging")
    assert (plan.priority, plan.start_automatically) == (7, False)
    extract, load, validate = plan.steps
    assert [(step.name, step.kind, step.needs) for step in plan.steps] == [
        ("extract", "extract", ()),
        ("load", "load", ("extract",)),
        ("validate", "validate", ("load",)),
    ]
    assert (extract.target, load.target) == ("staging/airlines-to-warehouse/extract", "warehouse/airlines")
    assert (extract.undo, load.undo, validate.undo) == ("auto", "auto", "none")
    assert (load.queue_s, load.start_to_finish_s, load.progress_s) == (7200.0, 5400.0, 90.0)
    assert (load.attempts_max, load.backoff_initial_s, load.backoff_factor, load.backoff_max_s) == (3, 0.5, 3.0, 30.0)
    assert (extract.queue_s, extract.start_to_finish_s, extract.progress_s) == (86400.0, 21600.0, 300.0)
    assert extract.requires.datastores == ("flights-csv", "staging")
    assert extract.requires.labels == ()
    assert load.requires.datastores == ("staging", "warehouse")
    assert load.requires.labels == (("site", "north"),)
    assert load.requires.kind == "load"
    assert load.budgets == (("warehouse", 4),)
    assert validate.requires.datastores == ("flights-csv", "staging", "warehouse")


def test_a_priority_comes_from_the_dataset_unless_given() -> None:
    plan = _plan("flights-to-mart")
    assert (plan.priority, plan.start_automatically) == (5, True)


def test_a_transform_touches_the_staging_only() -> None:
    transform = _plan("flights-to-mart").steps[1]
    assert transform.requires.datastores == ("staging",)


def test_extract_is_ready_to_run_at_once() -> None:
    step = _plan("airlines-to-warehouse").steps[0]
    assert needed_results(step.template) == ()
    params = kinds_pb2.ExtractParams.FromString(compile_params(step.kind, step.template, {}))
    assert params.part_rows_max == 1000
    assert params.source.dataset == "airlines"
    assert params.source.object == "airlines.csv"
    assert params.source.datastore.csv.null_text == "NA"
    assert (params.source.datastore.csv.file_mode, params.source.datastore.csv.group) == ("0644", "lake")
    assert params.staging.parquet.file_mode == "", "left to the agent"
    assert [(column.name, column.type, column.required) for column in params.source.columns] == [
        ("carrier", kinds_pb2.COLUMN_TYPE_TEXT, True),
        ("name", kinds_pb2.COLUMN_TYPE_TEXT, False),
    ]
    assert list(params.source.key) == ["carrier"]
    assert params.staging.parquet.root == "/srv/staging"


def test_results_of_earlier_steps_arrive_whole() -> None:
    load, validate = _plan("airlines-to-warehouse").steps[1:]
    assert needed_results(validate.template) == ("extract", "load")
    results = {"extract": _EXTRACTED, "load": _LOADED}
    params = kinds_pb2.LoadParams.FromString(compile_params("load", load.template, results))
    assert params.input == _STAGED
    assert params.if_exists == kinds_pb2.IF_EXISTS_REFUSE
    assert [(waiver.kind, waiver.name) for waiver in params.waive] == [
        (kinds_pb2.DEFINITION_KIND_COMMENT, ""),
        (kinds_pb2.DEFINITION_KIND_INDEX, "by carrier: one"),
    ]
    assert params.destination.datastore.postgresql.lock_wait_s == 900
    assert params.destination.datastore.postgresql.password_ref == "env:WAREHOUSE_PASSWORD"
    assert (params.destination.object, list(params.destination.key)) == ("airlines", ["carrier"])
    proof = kinds_pb2.ValidateParams.FromString(compile_params("validate", validate.template, results))
    assert proof.extracted == proof.loaded == _STAGED
    assert proof.published_fence == 2**62 + 1
    assert not proof.transform_sql
    query = proof.test_queries[0]
    assert (query.name, json.loads(query.expected_rows_json[0])) == (
        "known carrier",
        ["United Air Lines Inc.", "1", None],
    )


def test_a_transforms_text_is_never_taken_for_a_reference() -> None:
    _, transform, load, validate = _plan("flights-to-mart").steps
    params = kinds_pb2.TransformParams.FromString(
        compile_params("transform", transform.template, {"extract": _EXTRACTED})
    )
    assert "${steps.extract.output} in a text" in params.sql
    assert params.sql.endswith("FROM input")
    assert params.input == _STAGED
    assert [(column.name, column.precision, column.scale) for column in params.columns] == [
        ("flight_year", 0, 0),
        ("fare", 10, 2),
    ]
    staged = kinds_pb2.TransformResult(output=_STAGED).SerializeToString()
    loaded = kinds_pb2.LoadParams.FromString(compile_params("load", load.template, {"transform": staged}))
    assert loaded.if_exists == kinds_pb2.IF_EXISTS_REPLACE
    assert [column.name for column in loaded.destination.columns] == ["flight_year", "fare"]
    assert list(loaded.destination.key) == []
    results = {"extract": _EXTRACTED, "transform": staged, "load": _LOADED}
    proof = kinds_pb2.ValidateParams.FromString(compile_params("validate", validate.template, results))
    assert proof.transform_sql == params.sql


def test_the_same_input_gives_the_same_bytes() -> None:
    load = _plan("airlines-to-warehouse").steps[1]
    once, twice = (compile_params("load", load.template, {"extract": _EXTRACTED}) for _ in range(2))
    assert once == twice


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({}, 'the step "extract" has no result yet'),
        ({"extract": b"\xff\xff"}, 'the result of the step "extract" is not a ExtractResult'),
    ],
)
def test_a_result_that_is_missing_or_broken_is_named(results: dict[str, bytes], message: str) -> None:
    load = _plan("airlines-to-warehouse").steps[1]
    with pytest.raises(ParamsUnresolved, match=message):
        compile_params("load", load.template, results)


_OWN = """
- {name: index, kind: acme-index, params: {deep: [{at: '${migration.destination.object}',
   n: '${parameters.n}'}]}}
- {name: extract, kind: extract, needs: [index], params: {source: '${migration.source}',
   staging: '${migration.staging}', partRowsMax: '${steps.index.rows}'}}
- {name: report, kind: acme-report, needs: [extract], params: {staged: '${steps.extract.output}',
   list: ['${steps.index.x}']}}
"""


def test_kinds_of_ones_own_speak_json() -> None:
    plan = _plan_of(workflow(_OWN, parameters="{n: {default: 4}}") + "---\n" + migration(workflow="own"))
    index, extract, report = plan.steps
    assert compile_params(index.kind, index.template, {}) == b'{"deep":[{"at":"own_airlines","n":4}]}'
    assert index.requires.datastores == ("warehouse",)
    assert index.target == "staging/own/index"
    results = {"index": b'{"rows": 12, "x": {"y": "\xc3\xa9"}}', "extract": _EXTRACTED}
    params = kinds_pb2.ExtractParams.FromString(compile_params("extract", extract.template, results))
    assert params.part_rows_max == 12
    written = json.loads(compile_params(report.kind, report.template, results))
    assert written["list"] == [{"y": "é"}]
    assert written["staged"]["rows"] == str(2**63 + 5)
    assert report.requires.datastores == ("staging",)


@pytest.mark.parametrize("result", [b"{}", b"not json", b"[]", b'{"rows": "many"}', b'{"rows": -1}', b'{"rows": {}}'])
def test_a_result_of_ones_own_that_does_not_fit_is_refused(result: bytes) -> None:
    plan = _plan_of(workflow(_OWN, parameters="{n: {default: 4}}") + "---\n" + migration(workflow="own"))
    with pytest.raises(ParamsUnresolved):
        compile_params("extract", plan.steps[1].template, {"index": result})


def test_undo_is_auto_before_a_pivot_and_none_from_it_on() -> None:
    steps = """
- {name: before, kind: acme}
- {name: cut, kind: acme, needs: [before], pivot: true}
- {name: after, kind: acme, needs: [cut], placement: {labels: {disk: fast}}}
"""
    plan = _plan_of(workflow(steps) + "---\n" + migration(workflow="own"))
    assert [(step.undo, step.pivot) for step in plan.steps] == [("auto", False), ("none", True), ("none", False)]
    assert plan.steps[2].requires.labels == (("disk", "fast"),)


def test_what_does_not_fit_any_more_is_refused_with_all_reasons() -> None:
    specs: Any = example_specs()
    own = specs["Migration", "flights-to-mart"]
    with pytest.raises(NotCompilable) as caught:
        compile_workflow("own", own, specs["Workflow", "copy"], specs["Dataset", "flights"], {})
    fields = [problem.field for problem in caught.value.problems]
    assert fields == [("spec", "transform"), ("spec", "dataset"), ("spec", "to"), ("spec", "staging")]


def test_results_are_readable() -> None:
    decoded = decode_result("extract", _EXTRACTED)
    output = decoded["output"]
    assert (output["rows"], output["digest"]) == (2**63 + 5, "ff" * 16)
    assert output["columns"][0] == {
        "name": "carrier",
        "type": "COLUMN_TYPE_TEXT",
        "precision": 0,
        "scale": 0,
        "required": True,
    }
    assert output["parts"][0]["fileSha256"] == "02" * 32
    assert output["datastore"]["name"] == "staging"
    assert output["datastore"]["parquet"]["root"] == "/srv/staging"
    assert decode_result("load", _LOADED)["publishedFence"] == 2**62 + 1
    json.dumps(decoded)


def test_results_of_ones_own_are_their_json() -> None:
    assert decode_result("acme", b'{"a": 1}') == {"a": 1}
    assert decode_result("acme", b"[1]") == {"value": [1]}
    assert decode_result("acme", b"\xff") == {"bytes": 1}
    with pytest.raises(ParamsUnresolved):
        decode_result("load", b"\xff")
