"""Values of rows in results: found wherever they may be, and gone from every field and text."""

import json
from typing import Any

import pytest
from haulier.v1 import kinds_pb2 as k

from controlplane.manifests.compiling import result_values
from controlplane.manifests.compiling.params import compile_params, decode_result
from controlplane.manifests.compiling.plans import compile_migration
from controlplane.manifests.kinds.dataset import DatasetSpec
from controlplane.manifests.parsing import parse
from controlplane.manifests.text.findings import SourceFile
from tests.unit.controlplane.manifests.written import dataset, example_specs, only_finding, workflow

CANARY = "Zanzibar 4711"
PARAMS = k.ValidateParams(
    destination=k.DatasetLocation(dataset="people", key=["id"]),
    test_queries=[k.TestQuery(name="who", sql="SELECT 1", expected_rows_json=['["x"]'])],
).SerializeToString()


def told(**changes: Any) -> bytes:
    """What an agent reports that keeps values apart."""
    fields: dict[str, Any] = {
        "values_apart": True,
        "checks": [k.Check(name="who", expected="1 row: (x)", found="1 row: (a value of the shape aaaaaaaa)")],
        "differences": [
            k.RowDifference(kind="changed", key_json='{"id": "7"}', changed=[k.ColumnDifference(column="name")])
        ],
        **changes,
    }
    return k.ValidateResult(**fields).SerializeToString()


SHOWN: dict[str, dict[str, Any]] = {
    "a changed row": {
        "differences": [
            k.RowDifference(kind="changed", key_json='{"id": "7"}', columns_json=f'{{"name": ["x", "{CANARY}"]}}')
        ]
    },
    "a row without a key": {
        "differences": [k.RowDifference(kind="missing", key_json=f'{{"name": "{CANARY}"}}', row_digest=b"d" * 16)]
    },
    "an answer": {"checks": [k.Check(name="who", found_rows_json=[f'["{CANARY}"]'])]},
}
# Agents of before the rule wrote values into any field.
OLD = {
    "a changed row": k.ValidateResult(
        differences=[
            k.RowDifference(
                kind="changed", key_json='{"id": "7", "extra": "x"}', columns_json=f'{{"name": ["x", "{CANARY}"]}}'
            )
        ]
    ),
    "a whole row": k.ValidateResult(
        differences=[k.RowDifference(kind="missing", key_json=f'{{"id": "7", "name": "{CANARY}"}}')]
    ),
    "an answer": k.ValidateResult(checks=[k.Check(name="who", expected='[["x"]]', found=f'[["{CANARY}"]]')]),
    "what the engine said": k.ValidateResult(checks=[k.Check(name="who", found=f"refused: bad value '{CANARY}'")]),
}


def test_what_holds_no_values_stays_as_it_is() -> None:
    assert not result_values.holds_values(told())
    assert k.ValidateResult.FromString(result_values.without_values(PARAMS, told())) == k.ValidateResult.FromString(
        told()
    )


@pytest.mark.parametrize("what", SHOWN)
def test_values_that_were_shown_are_found_and_taken_out(what: str) -> None:
    result = told(**SHOWN[what])
    assert CANARY.encode() in result
    assert result_values.holds_values(result)
    kept = result_values.without_values(PARAMS, result)
    assert CANARY.encode() not in kept
    assert not result_values.holds_values(kept)


@pytest.mark.parametrize("what", OLD)
def test_an_agent_of_before_the_rule_is_held_to_it(what: str) -> None:
    result = OLD[what].SerializeToString()
    assert result_values.mixes_values(result)
    assert result_values.holds_values(result)
    kept = result_values.without_values(PARAMS, result)
    assert CANARY.encode() not in kept
    assert not result_values.holds_values(kept)
    assert not result_values.mixes_values(kept)
    for row in k.ValidateResult.FromString(kept).differences:
        assert json.loads(row.key_json) == {"id": "7"}


def test_names_of_columns_stay_when_their_values_go() -> None:
    kept = k.ValidateResult.FromString(result_values.without_values(PARAMS, OLD["a changed row"].SerializeToString()))
    assert [column.column for column in kept.differences[0].changed] == ["name"]


def test_the_reason_is_said_again_without_values() -> None:
    result = k.ValidateResult(
        checks=[k.Check(name="rows", passed=True), k.Check(name="who"), k.Check(name="destination digest")],
        differences_count=3,
    )
    assert (
        result_values.retold(PARAMS, result.SerializeToString())
        == "dataset 'people' is not proven: checks failed: who, destination digest; 3 rows differ"
    )


def test_what_cannot_be_read_is_not_kept() -> None:
    assert result_values.holds_values(b"\xff\xff")
    assert result_values.mixes_values(b"\xff\xff")
    assert result_values.without_values(PARAMS, b"\xff\xff") == b""


@pytest.mark.parametrize(
    ("said", "allowed_s"),
    [("", 0.0), ("showValues: true", 7 * 86_400.0), ("showValues: true\nshowValuesFor: 2h", 7200.0)],
)
def test_only_the_dataset_lets_values_leave(said: str, allowed_s: float) -> None:
    specs: Any = example_specs()
    migration = specs["Migration", "airlines-to-warehouse"]
    (document,) = parse([SourceFile("a.yaml", dataset(said).encode())]).documents
    assert isinstance(document.spec, DatasetSpec)
    wish = {"show_values": document.spec.show_values, "show_values_for": document.spec.show_values_for}
    own = specs["Dataset", migration.dataset].model_copy(update=wish)
    stores = {store: spec for (kind, store), spec in specs.items() if kind == "Datastore"}
    plan = compile_migration("m", migration, specs["Workflow", migration.workflow], own, stores)
    (step,) = [step for step in plan.steps if step.kind == "validate"]
    results = {"extract": k.ExtractResult().SerializeToString(), "load": k.LoadResult().SerializeToString()}
    assert result_values.shown_for_s(compile_params("validate", step.template, results)) == allowed_s


def test_a_workflow_cannot_let_values_leave() -> None:
    text = workflow(
        "- name: extract\n  kind: extract\n"
        '  params: {source: "${migration.source}", staging: "${migration.staging}"}\n'
        "- name: load\n  kind: load\n  needs: [extract]\n"
        '  params: {input: "${steps.extract.output}", destination: "${migration.destination}"}\n'
        "- name: validate\n  kind: validate\n  needs: [load]\n  params:\n"
        '    source: "${migration.source}"\n    extracted: "${steps.extract.output}"\n'
        '    loaded: "${steps.extract.output}"\n    destination: "${migration.destination}"\n    showValues: true\n'
    )
    finding = only_finding(text)
    assert finding.message == '"showValues" is not for a workflow to say'
    assert finding.hint == "write showValues: true in the Dataset"


def test_a_time_for_values_that_are_not_shown_is_refused() -> None:
    assert "showValuesFor says nothing" in only_finding(dataset("showValuesFor: 2h")).message


def test_what_people_read_is_structured() -> None:
    decoded = decode_result("validate", told(**SHOWN["a changed row"]))
    (row,) = decoded["differences"]
    assert (row["key"], row["columns"]) == ({"id": "7"}, {"name": ["x", CANARY]})
    decoded = decode_result("validate", told(**SHOWN["an answer"]))
    assert decoded["checks"][0]["foundRows"] == [[CANARY]]
    assert "Json" not in json.dumps(decoded)
