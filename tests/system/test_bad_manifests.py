"""Manifests that are wrong: one finding with file, line and field, exit code 1, and nothing is kept."""

import re

import pytest

from tests.system.scene import Scene

HEAD = "apiVersion: haulier/v1\nkind: {kind}\nmetadata: {{name: {name}}}\n"
WORKFLOW = HEAD.format(kind="Workflow", name="bad") + "spec:\n  steps:\n"
MIGRATION = HEAD.format(kind="Migration", name="bad") + "spec:\n"
USUAL = """\
  dataset: readings
  workflow: copy-transformed
  to: {datastore: staging, object: bad}
  staging: staging
"""
QUERY = """\
  transform: SELECT * FROM input
  testQueries:
    - name: q
      expect: [[1]]
      sql: |
        SQL
"""

# Text, the line that must be named, and what must be said.
BROKEN = {
    "yaml-that-never-closes": ('kind: Dataset\nmetadata: {name: "x\n', 3, "begun on line 2"),
    "yaml-with-a-tab": ("kind: Dataset\nmetadata:\n\tname: x\n", 3, "tab"),
    "unknown-kind": (HEAD.format(kind="Datasett", name="x") + "spec: {}\n", 2, "Dataset"),
    "unknown-field": (
        HEAD.format(kind="Dataset", name="bad") + "spec:\n  ownerr: me\n  datastore: source\n  object: x.csv\n",
        5,
        "owner",
    ),
    "field-of-a-wrong-type": (
        HEAD.format(kind="Dataset", name="bad") + "spec:\n  owner: [me]\n  datastore: source\n  object: x\n",
        5,
        "text",
    ),
    "unknown-type": (
        HEAD.format(kind="Dataset", name="bad")
        + "spec:\n  owner: me\n  datastore: source\n  object: x.csv\n  columns: [{name: a, type: int46}]\n",
        8,
        "int64",
    ),
    "cycle-in-needs": (
        WORKFLOW
        + '    - {name: one, kind: extract, needs: [two], params: {source: "${migration.source}", '
        + 'staging: "${migration.staging}"}}\n'
        + '    - {name: two, kind: extract, needs: [one], params: {source: "${migration.source}", '
        + 'staging: "${migration.staging}"}}\n',
        6,
        "one -> two -> one",
    ),
    "missing-step": (
        WORKFLOW
        + "    - {name: load, kind: load, needs: [extrakt], params: {}}\n    - {name: extract, kind: extract}\n",
        6,
        "extract",
    ),
    "missing-dataset": (MIGRATION + USUAL.replace("readings", "raedings"), 5, "readings"),
    "missing-datastore": (MIGRATION + USUAL.replace("datastore: staging", "datastore: stagign"), 7, "staging"),
    "missing-workflow": (MIGRATION + USUAL.replace("copy-transformed", "copy-transfromed"), 6, "copy-transformed"),
    "password-instead-of-reference": (
        HEAD.format(kind="Datastore", name="bad")
        + "spec: {engine: postgresql, host: db, database: d, user: u, passwordRef: hunter2-plain}\n",
        4,
        "reference",
    ),
}
HOSTILE = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "COPY input TO '/tmp/stolen.csv'",
    "COPY input FROM PROGRAM 'id'",
    "ATTACH '/tmp/other.duckdb' AS other",
    "INSTALL httpfs",
    "SELECT 1 FROM input; DROP TABLE input",
    "SELECT * FROM read_parquet('http://127.0.0.1:9/x')",
    "WITH x AS (DELETE FROM input RETURNING *) SELECT * FROM x",
    "SELECT * FROM input WHERE name = getenv('HOME')",
    "PRAGMA database_list",
    "SELECT * FROM \"read_text\"('/etc/passwd')",
    "SELECT * FROM query('SELECT 1')",
]
ASKED = [
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT * FROM dblink('host=127.0.0.1', 'SELECT 1') AS t(a int)",
    "SELECT pg_ls_dir('/')",
    "COPY readings TO PROGRAM 'cat'",
    "COPY readings FROM PROGRAM 'id'",
    "DO $$ BEGIN PERFORM 1; END $$",
    "SELECT 1; DROP TABLE readings",
    "SELECT pg_terminate_backend(1)",
    "SELECT set_config('role', 'postgres', false)",
    "SELECT query_to_xml('DELETE FROM readings', true, true, '')",
    "SELECT * INTO stolen FROM readings",
    "SELECT 1 FROM readings FOR UPDATE",
]


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_manifest_is_named_by_file_and_line(scene: Scene, name: str) -> None:
    text, line, said = BROKEN[name]
    path = scene.manifest().with_name(f"{name}.yaml")
    path.write_text(text, encoding="utf-8")
    answer = scene.haulier("apply", str(path))
    assert answer.code == 1, answer
    first = answer.out.splitlines()[0]
    assert first.startswith(f"{path}:{line}:"), answer.out
    assert said.lower() in answer.out.lower()
    assert "1 finding in 1 file" in answer.out + answer.err, answer
    assert "Traceback" not in answer.out + answer.err and "hunter2" not in answer.out + answer.err
    assert scene.haulier("migration", "get", "bad").code == 4
    path.unlink()


def test_hostile_sql_is_refused_before_anything_moves(scene: Scene) -> None:
    """Every statement in one file: each gets a finding at its own line, and none is kept."""
    documents = [
        MIGRATION.replace("name: bad", f"name: bad-{number}") + USUAL + f"  transform: |\n    {sql}\n"
        for number, sql in enumerate(HOSTILE)
    ]
    documents += [
        MIGRATION.replace("name: bad", f"name: asked-{number}") + USUAL + QUERY.replace("SQL", sql)
        for number, sql in enumerate(ASKED)
    ]
    path = scene.manifest().with_name("hostile.yaml")
    path.write_text("---\n".join(documents), encoding="utf-8")
    answer = scene.haulier("apply", str(path))
    assert answer.code == 1
    lines = path.read_text().splitlines()
    found = {int(number) for number in re.findall(rf"^{re.escape(str(path))}:(\d+):", answer.out, re.MULTILINE)}
    # A block of text begins on the line before its first one, and that is the line which is named.
    wanted = {number: text.strip() for number, text in enumerate(lines) if text.strip() in HOSTILE + ASKED}
    unnoticed = [sql for number, sql in wanted.items() if number not in found]
    assert len(wanted) == len(HOSTILE + ASKED)
    assert not unnoticed, answer.out
    assert "Traceback" not in answer.out + answer.err
    assert scene.haulier("migration", "get", "bad-0").code == 4
    path.unlink()
