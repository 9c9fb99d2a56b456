"""Promise A5 with real processes: a value of a row is looked for wherever it could have got to."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.system.scene import Document, Scene, dataset, datastore, migration

CANARY = "Zanzibar-4711"
SHOWN_CANARY = "Timbuktu-0815"
COLUMNS = [{"name": "id", "type": "int64"}, {"name": "name", "type": "text"}]
QUESTION = {"name": "who", "sql": "SELECT name FROM dataset WHERE id = 7", "expect": [["somebody"]]}


@dataclass(frozen=True, slots=True)
class Leak:
    """A way on which a value could get out: what the migration asks, of which data, and where it fails."""

    step: str
    code: str
    said: str
    spec: dict[str, Any] = field(default_factory=dict)
    content: str = f"id,name\n7,{CANARY}\n"
    columns: tuple[Document, ...] = tuple(COLUMNS)


# Each fails on a value in another place: the reader, the engine that runs somebody's SQL, the proof.
LEAKS = {
    "misfit": Leak(
        "extract", "value_does_not_fit", "a value of the shape aaaaaaaa-9999", columns=({**COLUMNS[1], "type": "date"},)
    ),
    "torn": Leak("extract", "corrupt_file", "has not 2 fields but 3", content=f"id,name\n7,a\n8,b,{CANARY}\n"),
    "cast": Leak(
        "transform",
        "bad_sql",
        "Conversion",
        {"workflow": "copy-transformed", "transform": "SELECT id, CAST(name AS INTEGER) AS name FROM input"},
    ),
    "raised": Leak(
        "transform",
        "bad_sql",
        "InvalidInput",
        {"workflow": "copy-transformed", "transform": "SELECT id, error(name) AS name FROM input"},
    ),
    "asked": Leak("validate", "verification_failed", "a value of the shape aaaaaaaa-9999", {"testQueries": [QUESTION]}),
    "asked-and-cast": Leak(
        "validate",
        "verification_failed",
        "Conversion",
        {"testQueries": [{**QUESTION, "sql": "SELECT CAST(name AS INTEGER) FROM dataset"}]},
    ),
}
SHOWN = "shown"


@pytest.fixture(scope="module")
def ran(scene: Scene) -> Iterator[Scene]:
    """Every way tried, and one dataset that lets its values leave."""
    names = [*LEAKS, SHOWN]
    home = scene.world.data / "canary"
    home.mkdir()
    documents: list[Document] = [datastore("canary", engine="csv", root=str(home))]
    for name in names:
        leak = LEAKS.get(name, LEAKS["asked"])
        file = f"canary-{name}.csv"
        columns = [leak.columns[0], *COLUMNS[1:]] if len(leak.columns) > 1 else [COLUMNS[0], leak.columns[0]]
        content = leak.content.replace(CANARY, SHOWN_CANARY) if name == SHOWN else leak.content
        (home / file).write_text(content)
        shows = {"showValues": True, "showValuesFor": "1h"} if name == SHOWN else {}
        place = scene.place("parquet", f"canary-{name}")
        documents += [
            dataset(f"canary-{name}", datastore="canary", object=file, columns=columns, key=["id"], **shows),
            scene.datastore_of(place),
            migration(f"canary-{name}", place, dataset=f"canary-{name}", **leak.spec),
        ]
    scene.apply(*documents)
    scene.start(*(f"canary-{name}" for name in names))
    scene.await_end([f"canary-{name}" for name in names], 90.0)
    yield scene


@pytest.mark.parametrize("name", LEAKS)
def test_the_error_names_the_place_and_the_shape(ran: Scene, name: str) -> None:
    leak = LEAKS[name]
    failure = ran.step(f"canary-{name}", leak.step)["attempts"][-1]["failure"]
    assert failure["code"] == leak.code, failure
    assert leak.said in failure["message"], failure


@pytest.mark.parametrize("name", LEAKS)
def test_no_answer_shows_the_value(ran: Scene, name: str) -> None:
    subject = f"canary-{name}"
    answers: list[object] = [ran.migration(subject), [e for e in ran.events.all() if subject in str(e)]]
    for verb in (("migration", "get"), ("logs",), ("why",), ("migration", "watch"), ("events", "--subject")):
        answers += [ran.haulier(*verb, subject), ran.haulier(*verb, subject, "-o", "json")]
    answers.append(ran.haulier("migration", "list", "-o", "wide"))
    assert CANARY not in repr(answers)


def _holding(scene: Scene, canary: str) -> set[str]:
    """Names of the control plane's files, and of every process's log, that hold a text."""
    roots = (scene.world.root / "controlplane", scene.world.root / "log")
    files = [path for root in roots for path in root.rglob("*") if path.is_file()]
    assert {"store.db", "controlplane.log", "alpha.log"} <= {path.name for path in files}
    return {path.name for path in files if canary.encode() in path.read_bytes()}


def test_no_file_of_the_control_plane_holds_the_value(ran: Scene) -> None:
    assert not _holding(ran, CANARY)


def test_values_leave_where_the_dataset_says_so_and_no_viewer_sees_them(ran: Scene) -> None:
    """Then the store alone holds them: no log, no output of an attempt, no event."""
    profile = ran.world.root / "viewer.json"
    profile.unlink(missing_ok=True)
    assert ran.haulier("operator", "create", "looker", "--role", "viewer", "--write", str(profile)).code == 0
    asked = ("migration", "get", f"canary-{SHOWN}")
    assert SHOWN_CANARY in ran.haulier(*asked, "-o", "json").out
    seen = ran.haulier(*asked, "-o", "json", "--profile", str(profile))
    assert seen.code == 0 and "a value of the shape aaaaaaaa-9999" in seen.out
    assert SHOWN_CANARY not in seen.out + ran.haulier(*asked, "--profile", str(profile)).out
    assert SHOWN_CANARY not in repr(ran.events.all())
    assert _holding(ran, SHOWN_CANARY) <= {"store.db", "store.db-wal"}
