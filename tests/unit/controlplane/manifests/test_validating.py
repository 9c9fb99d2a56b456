"""Manifests against each other: missing names, cycles, clashes, and what a destination cannot hold."""

from __future__ import annotations

import pytest

from controlplane.manifests.kinds.documents import FINDINGS_MAX, Document, Spec
from controlplane.manifests.parsing import parse
from controlplane.manifests.text.findings import Finding, SourceFile
from controlplane.manifests.validating import validate
from tests.unit.controlplane.manifests.written import (
    dataset,
    example_files,
    example_specs,
    migration,
    only_finding,
    workflow,
)

_WIDE_STORES = """apiVersion: haulier/v1
kind: Datastore
metadata: {name: same-mart}
spec: {engine: duckdb, path: /srv/./mart.duckdb}
---
apiVersion: haulier/v1
kind: Datastore
metadata: {name: other-host-mart}
spec: {engine: duckdb, path: /srv/mart.duckdb, placement: {labels: {site: south}}}
---
"""


def _findings(text: str, existing: dict[tuple[str, str], Spec] | None = None) -> list[Finding]:
    parsed = parse([SourceFile("a.yaml", text.encode())])
    assert parsed.findings == ()
    return list(validate(parsed.documents, example_specs() if existing is None else existing))


def test_the_examples_fit_together_applied_or_not() -> None:
    documents = parse(example_files()).documents
    assert validate(documents, {}) == ()
    assert validate(documents, example_specs()) == ()


@pytest.mark.parametrize(
    ("text", "line", "field", "message", "hint"),
    [
        (dataset().replace("warehouse", "warehose"), 6, "spec.datastore", '"warehose" does not exist', '"warehouse"?'),
        (dataset("dependsOn: [airline]"), 8, "spec.dependsOn[0]", 'Dataset "airline" does not exist', '"airlines"?'),
        (dataset("dependsOn: [weather]"), 8, "spec.dependsOn[0]", "depend on itself", "remove"),
        (
            dataset().replace("warehouse", "flights-csv"),
            4,
            "spec.columns",
            "must declare its columns",
            "haulier inspect",
        ),
        (dataset().replace("warehouse", "archive"), 4, "spec.columns", "must declare its columns", "haulier inspect"),
        (migration(dataset="airlins"), 5, "spec.dataset", 'Dataset "airlins" does not exist', '"airlines"?'),
        (migration(dataset="zzz"), 5, "spec.dataset", 'Dataset "zzz" does not exist', "apply a Dataset"),
        (migration(workflow="copi"), 6, "spec.workflow", 'Workflow "copi" does not exist', '"copy"?'),
        (migration(staging="stagin"), 8, "spec.staging", 'Datastore "stagin" does not exist', '"staging"?'),
        (migration(staging="mart"), 8, "spec.staging", '"mart" is duckdb', "engine: parquet"),
        (
            migration(to="{datastore: wharehouse, object: x}"),
            7,
            "spec.to.datastore",
            "does not exist",
            '"warehouse"?',
        ),
        (
            migration(to="{datastore: flights-csv, object: airlines.csv}"),
            7,
            "spec.to",
            "lives already",
            "choose another",
        ),
        (
            migration(to="{datastore: mart, object: flights}"),
            7,
            "spec.to.object",
            'the migration "flights-to-mart" takes the dataset "flights" to the same place',
            "choose another object",
        ),
        (
            migration(to=f"{{datastore: warehouse, object: {'o' * 64}}}"),
            7,
            "spec.to.object",
            "too long: PostgreSQL cuts names off",
            "shorter",
        ),
        (migration("parameters: {partRow: 1}"), 9, "spec.parameters.partRow", "has no parameter", '"partRows"?'),
        (migration("parameters: {partRows: some}"), 9, "spec.parameters.partRows", "must be a whole number", ""),
        (
            migration("transform: SELECT * FROM input"),
            9,
            "spec.transform",
            "never runs a transform",
            "choose a workflow",
        ),
        (migration(workflow="copy-with-transform"), 4, "spec.transform", "needs a transform", "SELECT"),
    ],
)
def test_a_manifest_that_does_not_fit_is_named(text: str, line: int, field: str, message: str, hint: str) -> None:
    finding = only_finding(text)
    assert (finding.line, finding.field) == (line, field)
    assert message in finding.message
    assert hint in finding.hint


def test_a_required_parameter_must_be_given() -> None:
    own = workflow("- {name: a, kind: acme, params: {x: '${parameters.must}'}}", parameters="{must: {}}")
    finding = only_finding(own + "---\n" + migration(workflow="own"))
    assert (finding.line, finding.field) == (12, "spec.parameters.must")
    assert 'needs the parameter "must"' in finding.message
    assert _findings(own + "---\n" + migration("parameters: {must: [1]}", workflow="own")) == []


def test_test_queries_that_nobody_asks_are_refused() -> None:
    own = workflow("- {name: a, kind: acme}")
    text = own + "---\n" + migration("testQueries: [{name: q, sql: SELECT 1, expect: [[1]]}]", workflow="own")
    assert "never asks test queries" in only_finding(text).message


def test_a_replacement_that_nobody_makes_is_refused() -> None:
    own = workflow("- {name: a, kind: acme}")
    to = "{datastore: warehouse, object: own_airlines, ifExists: replace}"
    found = only_finding(own + "---\n" + migration(workflow="own", to=to))
    assert found.field == "spec.to.ifExists"
    assert "never replaces" in found.message
    assert _findings(migration(to=to)) == []


def test_a_destination_is_compared_by_where_it_is() -> None:
    here = dataset(name="marts").replace("warehouse", "mart")
    there = migration(dataset="marts", to="{datastore: same-mart, object: marts}")
    finding = only_finding(_WIDE_STORES + here + "---\n" + there)
    assert "lives already" in finding.message
    elsewhere = migration(dataset="marts", to="{datastore: other-host-mart, object: marts}")
    assert _findings(_WIDE_STORES + here + "---\n" + elsewhere) == []


def test_one_place_under_two_names_is_one_place() -> None:
    text = _WIDE_STORES + migration(dataset="flights", to="{datastore: same-mart, object: FLIGHTS}")
    finding = only_finding(text)
    assert (finding.line, finding.field) == (17, "spec.to")
    assert '"flights-to-mart" writes the same place under the name "mart/flights"' in finding.message
    qualified = migration(to="{datastore: warehouse, object: public.airlines}")
    assert 'under the name "warehouse/airlines"' in only_finding(qualified).message
    assert _findings(migration(to="{datastore: warehouse, object: other.airlines}")) == []


def test_a_manifest_with_findings_of_its_own_is_not_also_missing() -> None:
    text = dataset("prioirty: 1", name="wrong") + "---\n" + dataset("dependsOn: [wrong, absent]")
    parsed = parse([SourceFile("a.yaml", text.encode())])
    assert [finding.field for finding in parsed.findings] == ["spec.prioirty"]
    assert parsed.refused == {("Dataset", "wrong")}
    findings = validate(parsed.documents, example_specs(), parsed.refused)
    assert [finding.field for finding in findings] == ["spec.dependsOn[1]"]


def test_one_dataset_may_go_to_one_place_again() -> None:
    assert _findings(migration(to="{datastore: warehouse, object: airlines}")) == []


def test_a_cycle_of_datasets_is_printed() -> None:
    text = dataset("dependsOn: [b]", name="a") + "---\n" + dataset("dependsOn: [c]", name="b")
    text += "---\n" + dataset("dependsOn: [a]", name="c")
    finding = only_finding(text)
    assert finding.field == "spec.dependsOn"
    assert "-> " in finding.message
    names = finding.message.partition(": ")[2].split(" -> ")
    assert names[0] == names[-1]
    assert sorted(names[1:]) == ["a", "b", "c"]


def test_a_cycle_through_what_is_applied_points_into_the_file() -> None:
    applied = {
        **example_specs(),
        **{document.key: document.spec for document in _documents(dataset("dependsOn: [y]", "x"))},
    }
    applied |= {document.key: document.spec for document in _documents(dataset(name="y"))}
    (finding,) = _findings(dataset("dependsOn: [x]", name="y"), applied)
    assert (finding.line, finding.message.partition(": ")[2]) == (8, "y -> x -> y")


def _documents(text: str) -> tuple[Document, ...]:
    return parse([SourceFile("b.yaml", text.encode())]).documents


def test_a_column_that_does_not_fit_is_named() -> None:
    long = "c" * 64
    columns = f"columns: [{{name: Day, type: date}}, {{name: day, type: date}}, {{name: {long}, type: text}}]"
    own = dataset(columns, name="own").replace("warehouse", "flights-csv")
    (clash,) = _findings(own + "---\n" + migration(dataset="own", to="{datastore: mart, object: x}"))
    assert (clash.line, clash.field) == (16, "spec.to.datastore")
    assert 'cannot hold the column "day": duckdb takes "Day" for the same name' in clash.message
    (cut,) = _findings(own + "---\n" + migration(dataset="own", to="{datastore: warehouse, object: x}"))
    assert f'cannot hold the column "{long}"' in cut.message
    assert "63 bytes" in cut.message
    to = "{datastore: mart, object: x, columns: [{name: a, type: text}, {name: A, type: text}]}"
    text = migration("transform: SELECT * FROM input", workflow="copy-with-transform", to=to)
    assert only_finding(text).field == "spec.to.columns[1].name"


def test_datastores_that_no_agent_reaches_together_are_refused() -> None:
    stores = _WIDE_STORES.replace("/srv/./mart.duckdb", "/srv/north.duckdb, placement: {labels: {site: north}}")
    here = dataset(name="marts").replace("warehouse", "same-mart")
    text = stores + here + "---\n" + migration(dataset="marts", to="{datastore: other-host-mart, object: x}")
    finding = only_finding(text)
    assert finding.field == "spec.workflow"
    assert '"other-host-mart" needs site=south, and the datastore "same-mart" needs site=north' in finding.message


def test_a_document_hides_what_was_applied_under_its_name() -> None:
    changed = workflow("- {name: a, kind: acme}", name="copy")
    (finding,) = _findings(changed + "---\n" + migration("parameters: {partRows: 1}"))
    assert "has no parameter" in finding.message


def test_what_is_applied_is_read_only_where_it_is_needed() -> None:
    class Watched(dict[tuple[str, str], Spec]):
        asked: set[tuple[str, str]]

        def get(self, key, default=None):  # type: ignore[no-untyped-def]
            self.asked.add(key)
            return super().get(key, default)

    existing = Watched(example_specs())
    existing.asked = set()
    assert _findings(dataset("dependsOn: [airlines]"), existing) == []
    assert existing.asked == {("Datastore", "warehouse"), ("Dataset", "airlines")}


@pytest.mark.parametrize(("wrong", "right"), [("datset-7777", "dataset-7777"), ("ddataset-1234", "dataset-1234")])
def test_a_near_miss_is_found_among_very_many(wrong: str, right: str) -> None:
    lake = example_specs()["Dataset", "airlines"]
    existing = {**example_specs(), **{("Dataset", f"dataset-{n}"): lake for n in range(9000)}}
    (finding,) = _findings(dataset(f"dependsOn: [{wrong}]"), existing)
    assert finding.hint == f'did you mean "{right}"?'


def test_many_missing_names_stay_bounded() -> None:
    text = "---\n".join(dataset(name=f"d{n}").replace("warehouse", f"missing-{n}") for n in range(700))
    findings = _findings(text)
    assert len(findings) == FINDINGS_MAX
