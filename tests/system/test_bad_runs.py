"""Migrations that cannot succeed: each shows one clear error, spoils nothing, and lets the others go on."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.kit.world import PASSWORD_VARIABLE
from tests.system.conftest import WRONG_VARIABLE
from tests.system.contents import Place, fingerprint, rows_at
from tests.system.scene import COLUMNS, Document, Scene, dataset, datastore, free_port, migration, workflow


@dataclass(frozen=True, slots=True)
class Bad:
    """A migration that must fail with a code at a step, and what its error must name."""

    step: str
    code: str
    said: tuple[str, ...]
    spec: dict[str, Any] = field(default_factory=dict)
    place: str = ""  # where it goes; unset means a Parquet directory of its own


BAD = {
    "unreachable": Bad("load", "unreachable", ("port", "Check host, port"), {"workflow": "twice"}, "nowhere"),
    "wrong-password": Bad("load", "authentication_failed", ("locked-out", "passwordRef"), {}, "locked-out"),
    "secret-not-set": Bad("load", "secret_unavailable", ("env:NOT_SET",), {}, "no-secret"),
    "secret-not-allowed": Bad("load", "policy_refused", ("env:HOME", "policy"), {}, "foreign-secret"),
    "value-does-not-fit": Bad(
        "extract", "value_does_not_fit", ("misfit.csv", "line 3", "'amount'"), {"dataset": "misfit"}
    ),
    "missing-column": Bad("extract", "columns_differ", ("fresh",), {"dataset": "lacking"}),
    "missing-file": Bad("extract", "not_found", ("absent.csv", "readings.csv"), {"dataset": "absent"}),
    "outside-the-roots": Bad("extract", "policy_refused", ("/etc", "policy"), {"dataset": "host-files"}),
    "unknown-column": Bad(
        "transform",
        "bad_sql",
        ("nmae",),
        {"workflow": "copy-transformed", "transform": "SELECT id, nmae FROM input"},
    ),
    "wrong-answer": Bad(
        "validate",
        "verification_failed",
        ("how many", "17", "a value of the shape 9999"),
        {"testQueries": [{"name": "how many", "sql": "SELECT count(*) FROM dataset", "expect": [[17]]}]},
    ),
    "poisoned-function": Bad(
        "validate",
        "verification_failed",
        ("innocent", "read-only transaction"),
        {"testQueries": [{"name": "innocent", "sql": "SELECT innocent()", "expect": [[1]]}]},
        "warehouse",
    ),
    "stolen-hashes": Bad(
        "validate",
        "verification_failed",
        ("hashes", "permission denied"),
        {"testQueries": [{"name": "hashes", "sql": "SELECT rolpassword FROM pg_catalog.pg_authid", "expect": []}]},
        "warehouse",
    ),
}
GOOD = "good-among-bad"


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of them all."""

    scene: Scene
    places: dict[str, Place]
    ends: dict[str, str]
    sources: dict[Path, str]


@pytest.fixture(scope="module")
def ran(scene: Scene) -> Iterator[Ran]:
    """Everything started at once and ended."""
    home = scene.world.data / "source"
    (home / "misfit.csv").write_text("id,amount\n1,12.50\n2,12.5O\n")
    (home / "lacking.csv").write_text("id,name,amount,seen\n1,a,1.00,2013-01-01 00:00:00\n")
    before = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in home.iterdir()}
    with psycopg.connect(scene.dsn(), autocommit=True) as connection:
        connection.execute(b"CREATE TABLE precious (a int)")
        connection.execute(
            b"CREATE FUNCTION innocent() RETURNS int LANGUAGE sql AS "
            b"'WITH gone AS (INSERT INTO precious VALUES (1) RETURNING 1) SELECT count(*)::int FROM gone'"
        )
    places = {name: _place(scene, name, bad.place) for name, bad in BAD.items()}
    places[GOOD] = scene.place("parquet", GOOD)
    documents = [
        *_datastores(scene),
        *_datasets(),
        # An outage's first try never counts, and later ones only once it has lasted this long: two count, of three.
        workflow("twice", labels={"zone": "a"}, rest={"zone": "a"}, attempts=2, unreachable_for="1ms"),
    ]
    documents += [scene.datastore_of(place) for place in places.values() if place.engine == "parquet"]
    documents += [migration(name, places[name], **bad.spec) for name, bad in BAD.items()]
    scene.apply(*documents, migration(GOOD, places[GOOD]))
    scene.start(*places)
    yield Ran(scene, places, scene.await_end(places, 120.0), before)


def _place(scene: Scene, name: str, store: str) -> Place:
    if not store:
        return scene.place("parquet", name)
    return Place("postgresql", store, scene.dsn(), name.replace("-", "_"))


def _datastores(scene: Scene) -> list[Document]:
    usual: dict[str, Any] = {"engine": "postgresql"}
    usual |= {key: scene.postgres[key] for key in ("host", "port", "database", "user")}
    own = f"env:{PASSWORD_VARIABLE}"
    return [
        scene.datastore_of(Place("postgresql", "warehouse", scene.dsn(), "")),
        datastore("nowhere", **usual | {"port": free_port(), "passwordRef": own}),
        datastore("locked-out", **usual | {"passwordRef": f"env:{WRONG_VARIABLE}"}),
        datastore("no-secret", **usual | {"passwordRef": "env:NOT_SET"}),
        datastore("foreign-secret", **usual | {"passwordRef": "env:HOME"}),
        datastore("etc", engine="csv", root="/etc"),
    ]


def _datasets() -> list[Document]:
    misfit = [{"name": "id", "type": "int64"}, {"name": "amount", "type": "decimal(12,2)"}]
    return [
        dataset("misfit", datastore="source", object="misfit.csv", columns=misfit),
        dataset("lacking", datastore="source", object="lacking.csv", columns=COLUMNS),
        dataset("absent", datastore="source", object="absent.csv", columns=COLUMNS),
        dataset("host-files", datastore="etc", object="passwd.csv", columns=COLUMNS),
    ]


@pytest.mark.parametrize("name", BAD)
def test_the_error_says_what_where_and_how_to_mend_it(ran: Ran, name: str) -> None:
    bad = BAD[name]
    assert ran.ends[name] == "MigrationFailed"
    step = ran.scene.step(name, bad.step)
    failure = step["attempts"][-1]["failure"]
    assert failure["code"] == bad.code, failure
    shown = ran.scene.haulier("migration", "get", name)
    assert shown.code == 0 and not shown.err, shown
    flat = " ".join(shown.out.split())
    for said in bad.said:
        assert said in flat, shown.out
    assert failure["hint"] and " ".join(failure["hint"].split()) in flat, shown.out
    assert "Traceback" not in shown.out
    others = [s["state"] for s in ran.scene.migration(name)["steps"] if s["name"] != bad.step]
    assert "failed" not in others


@pytest.mark.parametrize("name", [name for name, bad in BAD.items() if bad.step != "validate"])
def test_nothing_appears_at_the_destination(ran: Ran, name: str) -> None:
    assert fingerprint(ran.places[name]) is None


def test_the_sources_are_as_they_were(ran: Ran) -> None:
    assert {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in ran.sources} == ran.sources


def test_the_others_went_on(ran: Ran) -> None:
    assert ran.ends[GOOD] == "MigrationSucceeded"
    assert rows_at(ran.places[GOOD]) == ran.scene.expected


def test_what_poisoned_sql_reached_for_is_untouched(ran: Ran) -> None:
    with psycopg.connect(ran.scene.dsn()) as connection:
        assert connection.execute(b"SELECT count(*) FROM precious").fetchall() == [(0,)]


def test_what_can_pass_by_itself_was_tried_again_and_the_rest_was_not(ran: Ran) -> None:
    tries = {name: len(ran.scene.step(name, bad.step)["attempts"]) for name, bad in BAD.items()}
    assert {name for name, count in tries.items() if count > 1} == {"unreachable"}
    assert tries["unreachable"] == 3


def test_scripts_see_the_failure_as_exit_code_1(ran: Ran) -> None:
    answer = ran.scene.haulier("migration", "watch", "wrong-answer")
    assert answer.code == 1
    assert "how many" in answer.err and "Traceback" not in answer.err + answer.out


def test_no_traceback_in_any_log(ran: Ran) -> None:
    for name in ("alpha", "holder", "controlplane"):
        assert "Traceback" not in ran.scene.log(name)
    for name, bad in BAD.items():
        assert "Traceback" not in ran.scene.haulier("logs", f"{name}/{bad.step}").out
