"""A disk without room: the step fails with one clear error, and a retry succeeds once there is room again."""

import errno
import marshal
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.kit.mounting import can_mount
from tests.system.contents import Place, rows_at
from tests.system.scene import Scene, datastore, migration, workflow

ENGINES = ("csv", "parquet", "sqlite", "duckdb")
DISK_BYTES = 24 * 1024 * 1024
ROOM_BYTES = 24 * 1024
# The agent alone sees the small disk: it lives in a mount namespace of its own.
CRAMPED = ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size={DISK_BYTES} none "$0" && exec "$@"')


@pytest.fixture(scope="module")
def disk(scene: Scene) -> Iterator[Path]:
    """The small disk as it is seen from outside, through the agent's own view."""
    if not can_mount():
        pytest.skip("this machine lets nobody mount a small disk: run as root, or allow namespaces")
    inside = scene.world.data / "cramped"
    inside.mkdir()
    scene.add_agent("cramped", {"disk": "small"}, within=[*CRAMPED, str(inside)])
    scene.await_agents()
    yield Path(f"/proc/{scene.world.pid('cramped')}/root{inside}")


def fill(disk: Path) -> Path:
    """Leave next to no room; return the file that takes it."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        try:
            while True:
                file.write(b"\0" * 65536)
                file.flush()
        except OSError as error:
            assert error.errno == errno.ENOSPC
    os.truncate(filler, filler.stat().st_size - ROOM_BYTES)
    return filler


def test_no_room_then_room(scene: Scene, disk: Path) -> None:
    inside = scene.world.data / "cramped"
    places = {f"full-{engine}": place_on(inside, engine) for engine in ENGINES}
    for name in (*ENGINES, "staging"):
        (disk / name).mkdir()
    small: dict[str, Any] = {"placement": {"labels": {"disk": "small"}}}
    documents = [scene.datastore_of(place, **small) for place in places.values()]
    documents.append(datastore("full-staging", engine="parquet", root=str(inside / "staging"), **small))
    documents.append(workflow("cramped", rest={"disk": "small"}, attempts=2))
    documents += [migration(name, place, workflow="cramped") for name, place in places.items()]
    elsewhere = scene.place("parquet", "full-elsewhere")
    documents += [scene.datastore_of(elsewhere), migration("full-elsewhere", elsewhere)]
    # Here it is the staged parts that find no room.
    to = replace(places["full-parquet"], object="other.parquet")
    documents.append(migration("full-staging", to, workflow="cramped", staging="full-staging"))
    scene.apply(*documents)
    filler = fill(disk)
    names = [*places, "full-staging"]
    scene.start(*names, "full-elsewhere")
    scene.require_end(names, "MigrationFailed", 90.0)
    for name in names:
        assert_clear(scene, name, "extract" if name == "full-staging" else "load", inside)
    assert not list(disk.rglob("part-*")), "what the attempts staged does not keep the disk full"
    scene.require_end(["full-elsewhere"], "MigrationSucceeded", 60.0)
    filler.unlink()
    for name in names:
        assert scene.haulier("migration", "retry", name).code == 0
        scene.await_event(name, "MigrationRetried")
    scene.require_end(names, "MigrationSucceeded", 90.0)
    # SQLite resolves the agent's view back to our own, so copies are looked at.
    shutil.copytree(disk, scene.world.root / "copied")
    for place in places.values():
        assert (
            rows_at(replace(place, at=place.at.replace(str(inside), str(scene.world.root / "copied"))))
            == scene.expected
        )
    assert "Traceback" not in scene.log("cramped")


def place_on(disk: Path, engine: str) -> Place:
    """A place of an engine on the small disk."""
    home = disk / engine
    if engine in ("csv", "parquet"):
        return Place(engine, f"full-{engine}", str(home), f"readings.{engine}")
    return Place(engine, f"full-{engine}", str(home / f"db.{engine}"), "readings")


def assert_clear(scene: Scene, name: str, step: str, disk: Path) -> None:
    """The error names the place, what is free and what to do, and nobody sees a traceback."""
    found = scene.step(name, step)
    attempts = found["attempts"]
    assert [a["failure"]["code"] for a in attempts] == ["disk_full", "disk_full"], attempts
    for told in (a["failure"]["message"] for a in attempts):
        assert str(disk) in told and "are free" in told, told
        assert step == "load" or "written" in told, told
    shown = scene.haulier("migration", "get", name)
    assert shown.code == 0 and "space" in shown.out.lower() and "Traceback" not in shown.out, shown
    assert "retry" in found["hint"].lower(), found
    assert "Traceback" not in scene.haulier("logs", f"{name}/{step}").out


def test_a_file_longer_than_the_hosts_policy_allows(scene: Scene) -> None:
    """The same bound without a small disk: a limit of the host's own."""
    policy = f'kinds = ["*"]\ndatastores = ["*"]\nroots = ["{scene.world.data}"]\nfile_bytes_max = 20000\n'
    compiled = scene.world.root / "compiled"
    compiling = {"PYTHONPYCACHEPREFIX": str(compiled), "PYTHONDONTWRITEBYTECODE": ""}
    scene.add_agent("limited", {"files": "short"}, policy=policy, environment=compiling)
    scene.await_agents()
    places = {f"limited-{engine}": scene.place(engine, f"limited-{engine}") for engine in ENGINES}
    flow = workflow("limited", labels={"files": "short"}, rest={"zone": "a"}, attempts=2)
    documents = [migration(name, place, workflow="limited") for name, place in places.items()]
    scene.apply(flow, *(scene.datastore_of(place) for place in places.values()), *documents)
    scene.start(*places)
    scene.require_end(places, "MigrationFailed", 90.0)
    codes = {name: scene.step(name, "load")["attempts"][-1]["failure"]["code"] for name in places}
    assert set(codes.values()) == {"file_too_large"}, codes
    for name in places:
        shown = scene.haulier("migration", "get", name)
        assert "file_bytes_max" in shown.out and "Traceback" not in shown.out, shown
    # Nor did the limit cut short what the interpreter keeps for later, which would break the whole installation.
    for path in compiled.rglob("*.pyc"):
        marshal.loads(path.read_bytes()[16:])
    assert any(compiled.rglob("*.pyc"))
