"""One manifest by itself: every mistake is named with file, line and field, and the near miss is suggested."""

from __future__ import annotations

import pytest

from controlplane.manifests.engines.postgresql import PostgresqlSpec
from controlplane.manifests.kinds.dataset import DatasetSpec
from controlplane.manifests.kinds.documents import FINDINGS_MAX
from controlplane.manifests.parsing import parse
from controlplane.manifests.text.findings import SourceFile
from tests.unit.controlplane.manifests.written import (
    dataset,
    example_files,
    example_specs,
    findings_of,
    migration,
    only_finding,
    workflow,
)


def test_the_examples_are_right_and_nothing_is_lost() -> None:
    parsed = parse(example_files())
    assert parsed.findings == ()
    kinds = [document.kind for document in parsed.documents]
    assert {kind: kinds.count(kind) for kind in kinds} == {"Datastore": 5, "Dataset": 2, "Workflow": 2, "Migration": 2}
    flights = next(document for document in parsed.documents if document.name == "flights")
    assert flights.metadata.labels == {"team": "air", "tier": "gold"}
    assert flights.metadata.annotations == {"example.com/runbook": "docs/flights.md"}
    spec = flights.spec
    assert isinstance(spec, DatasetSpec)
    assert [column.type for column in spec.columns] == ["int64", "text", "decimal(10,2)", "timestamptz"]
    assert [(consumer.name, consumer.location) for consumer in spec.consumers] == [
        ("revenue-dashboard", None),
        ("delays-model", "services/delays"),
    ]
    assert (spec.depends_on, spec.priority, spec.window) == (("airlines",), 5, "0 22 * * 1-5")
    assert spec.transformations[0].name == "rename"
    warehouse = next(document.spec for document in parsed.documents if document.name == "warehouse")
    assert isinstance(warehouse, PostgresqlSpec)
    assert (warehouse.port, warehouse.schema_, warehouse.sslmode) == (5432, "public", "prefer")
    assert (warehouse.concurrency_max, warehouse.placement.labels) == (4, {"site": "north"})


_STORE = "apiVersion: haulier/v1\nkind: Datastore\nmetadata: {name: lake}\nspec:\n"
_TLS = _STORE + "  engine: postgresql\n  host: h\n  database: d\n  user: u\n"


@pytest.mark.parametrize(
    ("text", "line", "field", "message", "hint"),
    [
        ("- a\n- b\n", 1, "", "must be a mapping", "apiVersion, kind, metadata and spec"),
        ("word", 1, "", "must be a mapping", "apiVersion"),
        ("apiVersion: haulier/v1\nknid: Dataset\nkind: Dataset\n" + dataset()[36:], 2, "knid", "no field", '"kind"'),
        (dataset().replace("haulier/v1", "haulier/v2"), 1, "apiVersion", "not known", "haulier/v1"),
        (dataset().replace("Dataset", "Datset"), 2, "kind", '"Datset" is not a kind', 'did you mean "Dataset"?'),
        (dataset().replace("kind: Dataset\n", ""), 1, "kind", "required", "add kind"),
        (dataset(name="Weather_Daily!"), 3, "metadata.name", "a name has lower-case letters", '"weather_daily"'),
        (
            dataset().replace("{name: weather}", "{name: no}").replace("object: weather", "object:"),
            7,
            "spec.object",
            "empty",
            "",
        ),
        (dataset().replace("{name: weather}", "{name: 7}"), 3, "metadata.name", "must be text", "quotes"),
        (dataset().replace("{name: weather}", ""), 3, "metadata", "this field is empty", ""),
        (dataset().replace("owner", "ownr"), 5, "spec.ownr", "no field", 'did you mean "owner"?'),
        (dataset("depends_on: []"), 8, "spec.depends_on", "no field", 'did you mean "dependsOn"?'),
        (dataset("dependsOn: weather2"), 8, "spec.dependsOn", "must be a list", "[a, b]"),
        (dataset('priority: "5"'), 8, "spec.priority", "must be a whole number", "without quotes"),
        (dataset("priority: 5.5"), 8, "spec.priority", "must be a whole number", "fraction"),
        (dataset("priority: 5000"), 8, "spec.priority", "less than or equal to 1000", ""),
        (dataset("key: [a, a]\ncolumns: [{name: a, type: text}]"), 4, "spec", 'names the column "a" twice', ""),
        (dataset("columns: [{name: day, type: date}]\nkey: [dya]"), 4, "spec", 'column "dya"', 'did you mean "day"?'),
        (
            dataset("columns:\n- {name: a, type: text}\n- {name: a, type: text}"),
            8,
            "spec.columns",
            "declared twice",
            "",
        ),
        (dataset("columns:\n- {name: a, type: varchar(20)}"), 9, "spec.columns[0].type", "not a type", '"text"'),
        (dataset("columns:\n- {name: a, type: tinyint}"), 9, "spec.columns[0].type", "not a type", '"int64"'),
        (dataset("columns:\n- {name: a, type: decimal}"), 9, "spec.columns[0].type", "not a type", "decimal(18,4)"),
        (dataset('columns:\n- {name: a, type: "decimal(39,2)"}'), 9, "spec.columns[0].type", "1 to 38", ""),
        (
            dataset('columns:\n- {name: a, type: "decimal(2,4)"}'),
            9,
            "spec.columns[0].type",
            "its precision, 2",
            "decimal(4,2)",
        ),
        (dataset("columns:\n- {name: a, type: geometry}"), 9, "spec.columns[0].type", "not a type", "known: bool"),
        (
            dataset("columns:\n- {name: a, type: text, required: yes}"),
            9,
            "spec.columns[0].required",
            "true or false",
            "",
        ),
        (dataset("columns:\n- {nmae: a, name: b, type: text}"), 9, "spec.columns[0].nmae", "no field", '"name"'),
        (dataset().replace("object: weather", "object: ../etc/passwd"), 7, "spec.object", "below the datastore", ""),
        (dataset().replace("object: weather", "object: ./a//b"), 7, "spec.object", "a plain path", "flights/2013.csv"),
        (dataset().replace("object: weather", "object: haulier_fence"), 7, "spec.object", "Haulier's own", "another"),
        (dataset('window: "a\\nb"'), 8, "spec.window", "one line", ""),
        (dataset("consumers: [{contact: x}]"), 8, "spec.consumers[0].name", "required", "add name"),
        (workflow("").replace("  steps:", "  steps: []"), 5, "spec.steps", "must not be empty", "at least one"),
        (_STORE + "  engine: postgres\n", 5, "spec.engine", '"postgres" is not an engine', '"postgresql"'),
        (_STORE + "  root: /srv\n", 4, "spec.engine", "required", "csv, parquet"),
        (_STORE + "  engine: csv\n  root: srv\n", 6, "spec.root", "absolute path", "/srv/lake"),
        (_STORE + "  engine: csv\n  root: /srv/../etc\n", 6, "spec.root", "absolute path", ""),
        (_STORE + "  engine: csv\n  root: /srv\n  delimiter: ab\n", 7, "spec.delimiter", "one character", ""),
        (
            _STORE + "  engine: csv\n  root: /srv\n  fileMode: rw-r\n",
            7,
            "spec.fileMode",
            "is not a file mode",
            '"0640"',
        ),
        (_STORE + '  engine: csv\n  root: /srv\n  fileMode: "0440"\n', 7, "spec.fileMode", "own user", '"0640"'),
        (_STORE + '  engine: csv\n  root: /srv\n  fileMode: "0666"\n', 7, "spec.fileMode", "everybody", '"0644"'),
        (_STORE + '  engine: csv\n  root: /srv\n  fileMode: "0750"\n', 7, "spec.fileMode", "executed", '"0644"'),
        (_STORE + "  engine: csv\n  root: /srv\n  group: a:b\n", 7, "spec.group", "not the name of a group", "getent"),
        (_STORE + "  engine: csv\n  root: /srv\n  path: /x\n", 7, "spec.path", "no field", "known: "),
        (
            _STORE + "  engine: parquet\n  root: /srv\n  concurrencyMax: 0\n",
            7,
            "spec.concurrencyMax",
            "or equal to 1",
            "",
        ),
        (_STORE + "  engine: sqlite\n", 4, "spec.path", "required", "add path"),
        (
            _STORE + "  engine: postgresql\n  host: h\n  database: d\n  user: u\n  sslmode: required\n",
            9,
            "spec.sslmode",
            "one of disable",
            '"require"',
        ),
        (_TLS + "  sslmode: verify-ca\n", 4, "spec", "sslmode verify-ca needs sslrootcert", "`system`"),
        (_TLS + "  sslrootcert: ca.crt\n", 9, "spec.sslrootcert", "absolute path", ""),
        (_TLS + "  sslcert: /etc/tls/a.crt\n", 4, "spec", "belong together", "both"),
        (_TLS + "  sslkey: /etc/tls/a.key\n", 4, "spec", "belong together", "both"),
    ],
)
def test_a_mistake_is_named_with_line_field_and_near_miss(
    text: str, line: int, field: str, message: str, hint: str
) -> None:
    findings = findings_of(text)
    finding = findings[0]
    assert (finding.line, finding.field) == (line, field)
    assert message in finding.message
    assert hint in finding.hint
    assert "\n" not in str(finding)


@pytest.mark.parametrize(
    "line",
    [
        "passwordRef: hunter2",
        "password: hunter2",
        "passwordRef: [hunter2]",
        "passwordRef: env:hunter2 x",
        "host2: postgres://u:hunter2@h/d",
        "host: postgres://u:hunter2@h/d",
        'database: "x\\thunter2"',
        "port: hunter2",
        "sslmode: hunter2",
        "user: [hunter2",
        "user: hunter2: x",
        "user: *hunter2",
        "user: {hunter2: hunter2}",
        "placement: {labels: {a: hunter2 hunter2}}",
    ],
)
def test_no_value_is_ever_repeated(line: str) -> None:
    text = _STORE + "  engine: postgresql\n"
    given = {"host": "h", "database": "d", "user": "u"}
    given.pop(line.split(":")[0], None)
    findings = findings_of(text + "".join(f"  {key}: {value}\n" for key, value in given.items()) + f"  {line}\n")
    assert findings
    spoken = " ".join(finding.message + finding.hint for finding in findings)
    assert "hunter2" not in spoken
    assert all("hunter2" not in finding.field or line.startswith("user: {") for finding in findings)


def test_a_password_leads_to_its_reference() -> None:
    text = _STORE + "  engine: postgresql\n  host: h\n  database: d\n  user: u\n  password: x\n"
    assert only_finding(text).hint == 'did you mean "passwordRef"?'


def test_every_mistake_of_a_file_is_found_at_once() -> None:
    text = dataset("priority: high\nwindo: x", name="One") + "---\n" + dataset("columns: [{name: a}]", name="two")
    fields = [(finding.line, finding.field) for finding in findings_of(text)]
    assert fields == [
        (3, "metadata.name"),
        (8, "spec.priority"),
        (9, "spec.windo"),
        (18, "spec.columns[0].type"),
    ]


def test_a_name_twice_is_found_across_files() -> None:
    files = [SourceFile("one.yaml", dataset().encode()), SourceFile("two.yaml", b"\n\n" + dataset().encode())]
    parsed = parse(files)
    assert len(parsed.documents) == 1
    (finding,) = parsed.findings
    assert (finding.path, finding.line, finding.field) == ("two.yaml", 5, "metadata.name")
    assert "first in one.yaml line 1" in finding.message


def test_the_same_name_under_another_kind_is_fine() -> None:
    text = dataset(name="air") + "---\n" + _STORE.replace("lake", "air") + "  engine: csv\n  root: /srv\n"
    assert findings_of(text) == []


def test_findings_are_bounded() -> None:
    bad = "".join(
        f"apiVersion: haulier/v1\nkind: Dataset\nmetadata: {{name: d{n}}}\nspec: {{}}\n---\n" for n in range(400)
    )
    findings = findings_of(bad)
    assert len(findings) == FINDINGS_MAX + 1
    assert "more findings" in findings[-1].message
    wide = dataset("columns: [" + ", ".join("{name: a}" for _ in range(1500)) + "]")
    assert len(findings_of(wide)) == FINDINGS_MAX


@pytest.mark.parametrize(
    ("lines", "line", "field", "message", "hint"),
    [
        ("parameters: {part-rows: 1}", 9, "spec.parameters.part-rows", "letters, digits and '_'", "partRows"),
        ("start: now", 9, "spec.start", "one of auto, manual", ""),
        ("waive: [indexes]", 9, "spec.waive[0]", '"indexes" is nothing that can be waived', '"index"'),
        ("waive: [unicorn]", 9, "spec.waive[0]", '"unicorn" is nothing that can be waived', "replica_identity"),
        ("waive: [comment, 'trigger:']", 9, "spec.waive[1]", "names no trigger", "trigger:NAME"),
        ("waive: ['policy:mine']", 9, "spec.waive[0]", '"policy" cannot be waived', "take the definition off"),
        ("waive: [row_security]", 9, "spec.waive[0]", "cannot be waived", "take the definition off"),
        ("waive: [publication]", 9, "spec.waive[0]", "cannot be waived", "take the definition off"),
        ("waive: [grant]", 9, "spec.waive[0]", '"grant" is nothing that can be waived', ""),
        ("testQueries: [{name: a, sql: SELECT 1, expect: [[{}]]}]", 9, "spec.testQueries[0].expect[0][0]", "text", ""),
        (
            "testQueries: [{name: a, sql: SELECT 1, expect: [[1], [1, 2]]}]",
            9,
            "spec.testQueries[0].expect",
            "differ",
            "",
        ),
        (
            "testQueries:\n- {name: a, sql: SELECT 1, expect: []}\n- {name: a, sql: SELECT 2, expect: []}",
            11,
            "spec.testQueries[1].name",
            "used twice",
            "",
        ),
        ("transform: COPY x TO 'y'", 9, "spec.transform", "COPY reads and writes files", "one SELECT"),
        (
            "testQueries: [{name: a, sql: 'SELECT 1; DROP x', expect: []}]",
            9,
            "spec.testQueries[0].sql",
            "more than one",
            "",
        ),
    ],
)
def test_a_migrations_own_mistakes(lines: str, line: int, field: str, message: str, hint: str) -> None:
    finding = findings_of(migration(lines))[0]
    assert (finding.line, finding.field) == (line, field)
    assert message in finding.message
    assert hint in finding.hint


def test_a_key_that_is_not_allowed_is_pointed_at() -> None:
    finding = only_finding(dataset().replace("{name: weather}", "\n  name: weather\n  labels:\n    a: b\n    -x-: y"))
    assert (finding.line, finding.column, finding.field) == (7, 5, "metadata.labels.-x-")
    assert "a label's key" in finding.message


def test_text_without_its_end_is_bounded() -> None:
    long = only_finding(dataset().replace("{name: weather}", f"{{name: weather, description: {'x' * 100_001}}}"))
    assert long.message == "this must have at most 100000 characters"
    many = only_finding(dataset("consumers: [" + "a, " * 1001 + "]"))
    assert many.message == "this must have at most 1000 items"


def test_columns_without_a_transform_are_refused() -> None:
    text = migration(to="{datastore: warehouse, object: x, columns: [{name: a, type: text}]}")
    finding = only_finding(text)
    assert finding.field == "spec.to.columns"
    assert "without a transform" in finding.message


def test_expected_cells_become_text() -> None:
    text = migration("testQueries: [{name: a, sql: SELECT 1, expect: [[1, true, null, x, 1.50, '1.50']]}]")
    parsed = parse([SourceFile("a.yaml", text.encode())])
    assert parsed.findings == ()
    spec: object = parsed.documents[0].spec
    assert getattr(spec, "test_queries")[0].expect == (("1", "true", None, "x", "1.5", "1.50"),)  # noqa: B009


def test_a_dataset_transformation_is_checked_too() -> None:
    finding = findings_of(dataset("transformations:\n- {name: x, sql: SELECT * FROM read_csv('x')}"))[0]
    assert (finding.line, finding.field) == (9, "spec.transformations[0].sql")


def test_a_step_needs_a_unit_on_its_durations() -> None:
    text = workflow("- {name: a, kind: acme, timeouts: {queue: 10}}")
    finding = findings_of(text)[0]
    assert (finding.line, finding.field) == (6, "spec.steps[0].timeouts.queue")
    assert '"10s" for seconds' in finding.hint


@pytest.mark.parametrize("written", ["10 m", "m", "1.5h", "-1s", "0s", "400d", "1s1m", "٣s", "9999999999s", "''"])
def test_a_bad_duration(written: str) -> None:
    finding = findings_of(workflow(f"- {{name: a, kind: acme, timeouts: {{progress: {written}}}}}"))[0]
    assert finding.field == "spec.steps[0].timeouts.progress"
    assert "duration" in finding.message


def test_the_examples_stand_for_themselves_when_applied_again() -> None:
    assert set(example_specs()) >= {("Datastore", "warehouse"), ("Migration", "flights-to-mart")}
