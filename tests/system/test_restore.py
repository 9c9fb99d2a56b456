"""An old backup is put back while agents know more than it: everything ends verified, and no row is there twice."""

import json
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.kit.processes import program, until
from tests.system.contents import rows_at
from tests.system.scene import ROWS, Scene, migration

ENGINES = ("csv", "parquet", "sqlite", "duckdb")


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A scene of its own: its store is killed and put back."""
    with tempfile.TemporaryDirectory(prefix="haulier-restore-") as root:
        found = Scene(Path(root))
        try:
            found.rise()
            found.add_agent("mover", slots=2)
            found.await_agents()
            yield found
        finally:
            found.close()


def controlplane(scene: Scene, *arguments: str) -> str:
    """Run `haulier-controlplane` on the scene's state."""
    state = str(scene.world.root / "controlplane")
    return scene.world.run([*program("controlplane"), *arguments, "--state", state])


def test_migrations_go_on_over_an_old_backup(scene: Scene) -> None:
    places = {f"moved-{engine}": scene.place(engine, f"moved-{engine}") for engine in ENGINES}
    later = {f"later-{engine}": scene.place(engine, f"later-{engine}") for engine in ENGINES}
    flying = {f"flying-{engine}": scene.place(engine, f"flying-{engine}") for engine in ENGINES}
    both = {**places, **later, **flying}
    scene.apply(*(scene.datastore_of(place) for place in both.values()))
    scene.apply(*(migration(name, place) for name, place in both.items()))
    # Some have ended by the time of the backup, some run, some have not begun.
    scene.start("moved-csv", "moved-parquet")
    scene.await_event("moved-csv", "MigrationSucceeded")
    scene.start("moved-sqlite", "moved-duckdb")
    backup = scene.world.root / "backup.db"
    said = controlplane(scene, "backup", str(backup))
    assert str(backup) in said
    # The world goes on: what runs ends, and more begins, of which the backup knows nothing.
    scene.start(*later)
    scene.require_end({**places, **later}, "MigrationSucceeded", 120.0)
    assert all(rows_at(place) == scene.expected for place in (*places.values(), *later.values()))
    scene.start(*flying)
    scene.await_event("flying-csv", "MigrationStarted")
    scene.world.kill("controlplane")
    said = controlplane(scene, "restore", str(backup), "--replace", "--reason", "the disk was lost")
    # Every agent says aloud that it goes on with another log, by whose word, and what that lost.
    scene.world.causes += [r"CRITICAL haulier\.agentd the audit log began era 2 .*: the disk was lost"]
    assert "generation" in said and "before-" in said
    scene.world.start_controlplane()
    scene.world.wait_for_agents()
    # What was started after the backup was never started, as far as this store knows.
    scene.start(*later, *flying)
    for name in both:
        scene.world.haulier("migration", "watch", name)
    states = {name: scene.migration(name)["migration"]["state"] for name in both}
    assert states == dict.fromkeys(both, "succeeded")
    assert {name: rows_at(place) for name, place in both.items()} == dict.fromkeys(both, scene.expected)
    assert "keeps every promise" in doctor(scene)
    verified = scene.world.haulier_json("audit", "verify")
    assert verified["intact"], verified
    events = [json.loads(line) for line in scene.world.haulier("events", "-o", "json").splitlines()]
    kinds = {event["type"] for event in events}
    assert {"StoreRestored", "WitnessOutlived"} <= kinds and "AuditLogContradicted" not in kinds
    assert "began era 2" in scene.log("mover")


def doctor(scene: Scene) -> str:
    """What the doctor says beside its findings, of which there are none."""
    done = scene.run([*program("controlplane"), "doctor", "--state", str(scene.world.root / "controlplane")])
    assert done.code == 0, done
    return done.err


def _positions(files: Iterable[Path]) -> list[int]:
    """Positions of the events in archive files, in order."""
    return [json.loads(line)["position"] for file in files for line in file.read_text().splitlines()[1:]]


@pytest.mark.timeout(300)
def test_old_history_goes_to_files_and_the_rest_still_proves_itself(scene: Scene) -> None:
    place = scene.place("csv", "kept")
    scene.apply(scene.datastore_of(place), migration("kept", place))
    scene.start("kept")
    scene.require_end(["kept"], "MigrationSucceeded", 60.0)
    outputs = scene.world.root / "controlplane" / "outputs"
    scene.world.kill("controlplane")
    config = scene.world.root / "controlplane.toml"
    config.write_text(config.read_text() + "history_kept_s = 0.5\narchive_events_min = 1\n")
    scene.world.start_controlplane()
    scene.world.wait_for_agents()
    # It is kept whole until its clean-up is over, and its events with it.
    until(lambda: not scene.migration("kept")["steps"][0]["attempts"], 100.0, "the migration to be compacted")
    archive = scene.world.root / "controlplane" / "archive"

    def holding_the_start() -> list[Path]:
        return [path for path in archive.glob("events-*.jsonl") if "MigrationStarted" in path.read_text()]

    until(lambda: bool(holding_the_start()), 60.0, "its events to be archived")
    (file,) = holding_the_start()
    positions = _positions(sorted(archive.glob("events-*.jsonl")))
    assert positions == list(range(1, len(positions) + 1))

    def archived() -> bool:
        return bool(scene.world.haulier_json("audit", "verify")["archived"] >= len(positions))

    until(archived, 30.0, "their rows to go")
    verified = scene.world.haulier_json("audit", "verify", "--archive", str(file))
    assert verified["intact"] and verified["entries"] > len(_positions([file]))
    assert "keeps every promise" in doctor(scene)
    # What was proven stays; what its undo would take does not.
    shown = scene.migration("kept")
    assert shown["migration"]["verified_rows"] == ROWS and not shown["steps"][0]["attempts"]
    refused = scene.haulier("rollback", "kept", "--reason", "too late")
    assert refused.code == 5 and "so long ago" in refused.err
    assert not list(outputs.glob("*")), "outputs of its attempts are gone"
    file.write_text(file.read_text().replace("MigrationStarted", "MigrationStopped"))
    touched = json.loads(scene.world.haulier("audit", "verify", "--archive", str(file), "-o", "json", codes=(1,)))
    assert not touched["intact"]
    assert "AuditLogContradicted" not in scene.world.haulier("events")
