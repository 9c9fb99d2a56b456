"""Hostile SQL from a control plane that was taken over: the host's own sandbox refuses it.

The manifests' guard is passed by writing into the control plane's store what no manifest could bring there.
"""

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.system.contents import Place, fingerprint, sqlite3
from tests.system.scene import Document, Scene, migration

PLACEHOLDER = "SELECT * FROM input WHERE id >= 0"
# DuckDB over staged parts and over files at a destination. {out} is a path that must not come to be.
DUCKDB = (
    "SELECT content FROM read_text('/etc/passwd')",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM read_csv('/etc/passwd', sep = ':')",
    "COPY (SELECT 1) TO '{out}'",
    "COPY (SELECT 1) TO '{out}' (FORMAT parquet)",
    "ATTACH '{out}' AS other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SELECT * FROM read_parquet('http://127.0.0.1:9/x.parquet')",
    "SELECT 1; COPY (SELECT 1) TO '{out}'",
    "EXPORT DATABASE '{out}'",
    "SET enable_external_access = true",
    "SELECT getenv('PATH')",
    "CREATE SECRET (TYPE s3, KEY_ID 'a', SECRET 'b')",
    "SELECT * FROM glob('/*')",
)
POSTGRESQL = (
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT pg_ls_dir('/')",
    "SELECT lo_import('/etc/passwd')",
    "COPY {table} TO '{out}'",
    "COPY {table} TO PROGRAM 'tee {out}'",
    "COPY {table} FROM PROGRAM 'echo 1'",
    "SELECT * FROM dblink('host=127.0.0.1', 'SELECT 1') AS t(a int)",
    "SELECT 1; DROP TABLE {table}",
    "SELECT 1) AS asked; DROP TABLE {table}; SELECT * FROM (SELECT 1",
    "WITH gone AS (DELETE FROM {table} RETURNING *) SELECT count(*) FROM gone",
    "SELECT query_to_xml('DELETE FROM {table}', true, true, '')",
    "DO $$ BEGIN DELETE FROM {table}; END $$",
    "SELECT set_config('transaction_read_only', 'off', false), query_to_xml('DELETE FROM {table}', true, true, '')",
    "CREATE EXTENSION dblink",
    "SELECT pg_reload_conf()",
)
SQLITE = (
    "ATTACH '{out}' AS other",
    "VACUUM INTO '{out}'",
    "SELECT load_extension('{out}')",
    "DELETE FROM {table}",
    "SELECT 1; DROP TABLE {table}",
    "PRAGMA journal_mode = DELETE",
    "SELECT writefile('{out}', 'x')",
    "SELECT readfile('/etc/passwd')",
)
ASKED = {"csv": DUCKDB, "parquet": DUCKDB, "duckdb": DUCKDB, "sqlite": SQLITE, "postgresql": POSTGRESQL}


@dataclass(frozen=True, slots=True)
class Tried:
    """What was tried, at which places, and the path that every statement that writes would have written."""

    places: dict[str, Place]
    out: Path


@pytest.fixture(scope="module")
def tried(scene: Scene) -> Tried:
    """Every statement smuggled into a step, and every step ended."""
    out = scene.world.data / "stolen"
    places = {f"asked-{engine}": scene.place(engine, f"asked-{engine}") for engine in ASKED}
    documents: list[Document] = [scene.datastore_of(place) for place in places.values()]
    for name, place in places.items():
        # Each number is a question that the guard lets pass and that will be another one.
        queries = [
            {"name": f"q{n}", "sql": f"SELECT {5000 + n}", "expect": [[1]]} for n in range(len(ASKED[place.engine]))
        ]
        documents.append(migration(name, place, testQueries=queries))
    staged = scene.place("parquet", "transformed")
    documents.append(scene.datastore_of(staged))
    for number in range(len(DUCKDB)):
        to = {"datastore": staged.datastore, "object": f"{number}.parquet"}
        name = f"transformed-{number}"
        documents.append(migration(name, staged, workflow="copy-transformed", transform=PLACEHOLDER, to=to))
        places[name] = Place("parquet", staged.datastore, staged.at, f"{number}.parquet")
    scene.apply(*documents)
    scene.drain("alpha")
    scene.start(*places)
    _smuggle(scene, places, out)
    scene.resume("alpha")
    scene.require_end(places, "MigrationFailed", 120.0)
    return Tried(places, out)


def _smuggle(scene: Scene, places: dict[str, Place], out: Path) -> None:
    """Exchange placeholders for hostile statements in the control plane's store."""
    path = scene.world.root / "controlplane" / "store.db"
    ids = {name: migration_id for migration_id, name in scene.started.items()}
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for name, place in places.items():
            words = {"out": str(out), "table": place.object}
            asked = ASKED.get(name.removeprefix("asked-"), ())
            new = {f"SELECT {5000 + n}": sql.format(**words) for n, sql in enumerate(asked)}
            if name.startswith("transformed-"):
                new[PLACEHOLDER] = DUCKDB[int(name.removeprefix("transformed-"))].format(**words)
            found = (
                "SELECT step_id, template FROM step_body WHERE step_id IN (SELECT id FROM step WHERE migration_id = ?)"
            )
            for step_id, template in connection.execute(found, [ids[name]]).fetchall():
                changed = json.dumps(_exchanged(json.loads(template), new))
                connection.execute("UPDATE step_body SET template = ? WHERE step_id = ?", [changed, step_id])
        connection.execute("COMMIT")


def _exchanged(value: Any, new: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _exchanged(each, new) for key, each in value.items()}
    if isinstance(value, list):
        return [_exchanged(each, new) for each in value]
    return new.get(value, value) if isinstance(value, str) else value


@pytest.mark.parametrize("number", range(len(DUCKDB)), ids=DUCKDB)
def test_no_transform_leaves_its_parts(scene: Scene, tried: Tried, number: int) -> None:
    name = f"transformed-{number}"
    failure = scene.step(name, "transform")["attempts"][-1]["failure"]
    assert failure["code"] == "bad_sql", failure
    assert failure["hint"]
    assert fingerprint(tried.places[name]) is None


@pytest.mark.parametrize("engine", ASKED)
def test_no_question_leaves_its_destination(scene: Scene, tried: Tried, engine: str) -> None:
    name = f"asked-{engine}"
    step = scene.step(name, "validate")
    assert step["attempts"][-1]["failure"]["code"] == "verification_failed"
    checks = step["result"]["checks"]
    asked = {check["name"]: check.get("found", "") for check in checks if check["name"].startswith("q")}
    assert len(asked) == len(ASKED[engine])
    answered = {ASKED[engine][int(q[1:])]: found for q, found in asked.items() if not found.startswith("refused: ")}
    assert not answered
    # All that was checked besides the questions holds: the statements changed nothing.
    assert all(check.get("passed") for check in checks if not check["name"].startswith("q")), checks
    # The undo that follows reads all of it again, and stops where anything is not as it was published.
    ended = scene.migration(name)["migration"]
    assert (ended["state"], ended["reason"].endswith("the former content is back")) == ("failed", True), ended
    assert fingerprint(tried.places[name]) is None


def test_nothing_was_written_or_read(scene: Scene, tried: Tried) -> None:
    assert not list(tried.out.parent.glob("stolen*"))
    root_entry = Path("/etc/passwd").read_text().splitlines()[0]
    for name in tried.places:
        assert root_entry not in repr(scene.migration(name))
    with psycopg.connect(scene.dsn()) as connection:
        assert connection.execute(b"SELECT count(*) FROM pg_extension WHERE extname = 'dblink'").fetchall() == [(0,)]
    assert "Traceback" not in scene.log("alpha")
