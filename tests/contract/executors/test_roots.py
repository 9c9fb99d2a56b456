"""Where steps write: dead attempts make room for the next one, and a root that is not what it was is refused."""

import dataclasses
import errno
import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from haulier.v1 import kinds_pb2 as k

from agentd.__main__ import main
from agentd.datastores.fences.eviction import boot_of_host, start_time
from agentd.datastores.port.failures import StepFailure
from agentd.executors import leftovers, mounts, staging
from agentd.executors.extract import Extract
from agentd.executors.leftovers import RECORDS
from agentd.executors.load import Load
from agentd.executors.mounts import Known, _objection
from tests.contract.executors.attempts import Child, attempt
from tests.contract.executors.conftest import MakeScene, Scene
from tests.kit import torture


def filled(make_scene: MakeScene, engine: str = "csv") -> tuple[Scene, k.ExtractParams]:
    """A scene whose place holds rows, and parameters that extract them."""
    scene = make_scene(engine)
    Load().run(attempt(scene.home, "load", scene.load_params(scene.staged()), 1))
    return scene, k.ExtractParams(source=scene.located(), staging=scene.staging, part_rows_max=50)


def left(scene: Scene, name: str) -> Path:
    """What a killed attempt leaves: a part and no manifest."""
    path = Path(scene.staging.parquet.root) / "mig_1" / "step_extract" / name
    path.mkdir(parents=True)
    (path / "part-00001.parquet").write_bytes(b"half")
    return path


def test_what_dead_attempts_staged_goes_before_the_next_one_writes(make_scene: MakeScene) -> None:
    scene, params = filled(make_scene)
    dead = [left(scene, name) for name in ("att_1f_1", "att_1f_2", "att_1f_9")]
    strange = left(scene, "att_1f_3")
    (strange / "notes.txt").write_text("somebody's")
    later = [left(scene, name) for name in ("att_1f_12", "att_1f_2_a", "att_1f_10_a")]
    rows = torture.batch(unordered=False)
    ctx = dataclasses.replace(attempt(scene.home, "extract", params, 1), attempt_id="att_1f_10")
    seen: list[list[bool]] = []

    def looking() -> Iterator[pa.RecordBatch]:
        seen.append([path.exists() for path in dead])
        yield rows

    staging.stage(ctx, scene.staging, torture.COLUMNS, looking())
    assert seen == [[False, False, False]], "there was room before the first row"
    assert all(path.exists() for path in (strange, *later)), "neither a successor's nor anybody else's"
    after_restore = dataclasses.replace(ctx, attempt_id="att_1f_3_a")
    staging.stage(after_restore, scene.staging, torture.COLUMNS, [rows])
    assert not later[1].exists()
    assert later[2].exists()


def test_a_killed_attempt_of_any_step_makes_room_for_the_next_of_another(make_scene: MakeScene) -> None:
    scene, params = filled(make_scene)
    root = Path(scene.staging.parquet.root)
    stopped, killed = (attempt(scene.home, "extract", params, 1) for _ in range(2))
    for ctx, sent in ((stopped, signal.SIGSTOP), (killed, signal.SIGKILL)):
        child = Child("extract", ctx, "before_publish", sent)
        scene.children.append(child)
        child.await_point()
    left_by = {ctx.attempt_id: root / "mig_1" / "step_extract" / ctx.attempt_id for ctx in (stopped, killed)}
    assert all(path.exists() for path in left_by.values())
    other = attempt(scene.home, "extract", params, 1, migration_id="mig_2", step_id="step_other")
    Extract().run(other)
    assert left_by[stopped.attempt_id].exists(), "it lives, and may go on"
    assert not left_by[killed.attempt_id].exists()
    assert [path.stem for path in (root / RECORDS).iterdir()] == [stopped.attempt_id]


@pytest.mark.parametrize(
    "changed",
    [
        {"directory": "../elsewhere/att_9"},
        {"directory": "mig_1/step_1/../../../att_9"},
        {"directory": "/etc/att_9"},
        {"directory": "mig_1/step_1/att_8"},
        {"boot_id": "another", "machine": "another"},
        {"boot_id": "another", "machine": ""},
        {"pid_namespace": "pid:[1]"},
        {"pid": "1"},
        {"pid": os.getpid(), "start_time": start_time(os.getpid())},
    ],
)
def test_a_record_that_proves_nothing_removes_nothing(make_scene: MakeScene, changed: dict[str, object]) -> None:
    scene = make_scene("csv")
    root = Path(scene.staging.parquet.root)
    removed: list[Path] = []
    ctx = attempt(scene.home, "extract", k.ExtractParams(), 1)
    (root / RECORDS).mkdir()
    gone = {"directory": "mig_1/step_1/att_9", "pid": 2**22 - 1, "start_time": 1, "machine": "", **boot_of_host()}
    (root / RECORDS / "att_9.json").write_text(json.dumps({**gone, **changed}))
    leftovers.remove_dead(ctx, root, removed.append)
    assert removed == []
    (root / RECORDS / "att_9.json").write_text(json.dumps(gone))
    leftovers.remove_dead(ctx, root, removed.append)
    assert removed == [root / "mig_1/step_1/att_9"]


def test_what_lies_in_the_way_and_is_nobodys_staging_is_never_removed(make_scene: MakeScene) -> None:
    scene, params = filled(make_scene)
    ctx = attempt(scene.home, "extract", params, 1)
    theirs = Path(scene.staging.parquet.root) / "mig_1" / "step_extract" / ctx.attempt_id / "notes.txt"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("somebody's")
    with pytest.raises(StepFailure) as caught:
        Extract().run(ctx)
    assert caught.value.code == "not_staged"
    assert theirs.read_text() == "somebody's"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("anything"),
        KeyboardInterrupt(),
    ],
)
def test_an_attempt_that_fails_takes_back_what_it_staged(make_scene: MakeScene, error: BaseException) -> None:
    scene, params = filled(make_scene)
    ctx = attempt(scene.home, "extract", params, 1)

    def breaking() -> Iterator[pa.RecordBatch]:
        yield torture.batch(unordered=False)
        raise error

    with pytest.raises((StepFailure, type(error))) as caught:
        staging.stage(ctx, scene.staging, torture.COLUMNS, breaking(), 50, total=2400)
    directory = Path(scene.staging.parquet.root) / "mig_1" / "step_extract" / ctx.attempt_id
    assert not directory.exists()
    if isinstance(error, OSError):
        told = caught.value
        assert isinstance(told, StepFailure)
        assert (told.code, told.retryable) == ("disk_full", True)
        assert str(directory) in told.message
        assert "free" in told.message or "quota" in told.message
        assert "for 240 rows of about 2,400, so all of them need about" in told.message


@pytest.mark.parametrize(("asked", "file", "directory"), [("", 0o600, 0o700), ("0640", 0o640, 0o750)])
def test_staged_parts_are_private_unless_their_datastore_says_otherwise(
    make_scene: MakeScene, asked: str, file: int, directory: int
) -> None:
    scene, params = filled(make_scene)
    params.staging.parquet.file_mode = asked
    ctx = attempt(scene.home, "extract", params, 1, migration_id="mig_2")
    before = os.umask(0o077)
    try:
        Extract().run(ctx)
    finally:
        os.umask(before)
    made = Path(scene.staging.parquet.root) / "mig_2"
    assert {path.stat().st_mode & 0o777 for path in (made, *made.glob("*"), *made.glob("*/*"))} == {directory}
    assert {path.stat().st_mode & 0o777 for path in made.glob("*/*/*")} == {file}


@pytest.fixture
def remembering(make_scene: MakeScene) -> tuple[Scene, k.ExtractParams, Path]:
    """A scene whose staging was used once by an agent that remembers."""
    scene, params = filled(make_scene)
    state = scene.home / "state"
    state.mkdir()
    extract(scene, params, state)
    return scene, params, state


def extract(scene: Scene, params: k.ExtractParams, state: Path) -> bytes:
    ctx = attempt(scene.home, "extract", params, 1, places=state / mounts.PLACES)
    return Extract().run(ctx)


def test_a_root_without_its_marker_is_not_mounted(remembering: tuple[Scene, k.ExtractParams, Path]) -> None:
    scene, params, state = remembering
    root = Path(scene.staging.parquet.root)
    mounted = root.rename(root.with_name("elsewhere"))
    for beneath in ("nothing", "an empty directory"):
        if beneath != "nothing":
            root.mkdir()
        with pytest.raises(StepFailure) as caught:
            extract(scene, params, state)
        assert (caught.value.code, caught.value.retryable) == ("not_mounted", True)
        assert str(root) in caught.value.message
    assert not list(root.iterdir()), "nothing was written beneath the mount point"
    with pytest.raises(StepFailure, match="not what it was"):
        # Nor is an undo taken for done.
        Extract().undo(attempt(scene.home, "extract", params, 2, places=state / mounts.PLACES))
    root.rmdir()
    mounted.rename(root)
    extract(scene, params, state)
    assert not mounted.exists()


def test_the_remedy_for_a_root_that_was_replaced_works(
    remembering: tuple[Scene, k.ExtractParams, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    scene, params, state = remembering
    root = Path(scene.staging.parquet.root)
    shutil.rmtree(root)
    root.mkdir()
    with pytest.raises(StepFailure) as caught:
        extract(scene, params, state)
    command = caught.value.hint.rpartition("`haulier-agentd ")[2].rstrip("`").split()
    assert main([*command, "--state", str(state)]) == 0
    extract(scene, params, state)
    assert (root / mounts.MARKER).exists()
    assert main(["forget-place", str(root / "other"), "--state", str(state)]) == 1
    assert "no step has used" in capsys.readouterr().err


@pytest.mark.parametrize("engine", ["csv", "parquet"])
def test_a_destination_that_is_not_mounted_is_not_written(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    state = scene.home / "state"
    state.mkdir()
    params = scene.load_params(scene.staged())
    Load().run(attempt(scene.home, "load", params, 1, places=state / mounts.PLACES))
    datastore = params.destination.datastore
    root = Path(getattr(datastore, engine).root)
    root.rename(root.with_name("elsewhere"))
    root.mkdir()
    for act in (Load().run, Load().undo, Load().probe):
        with pytest.raises(StepFailure) as caught:
            act(attempt(scene.home, "load", params, 2, places=state / mounts.PLACES))
        assert caught.value.code == "not_mounted"
    assert not list(root.iterdir())


def test_a_source_gets_no_marker(make_scene: MakeScene) -> None:
    scene, params = filled(make_scene)
    state = scene.home / "state"
    state.mkdir()
    extract(scene, params, state)
    assert not (Path(params.source.datastore.csv.root) / mounts.MARKER).exists()


@pytest.mark.parametrize(
    ("known", "found", "refused"),
    [
        (("/srv/data", "m"), ("/srv/data", "m"), False),
        (("/srv/data", "m"), ("/", "m"), True),
        (("/srv/data", ""), ("/", ""), True),
        (("/srv/data", "m"), ("/srv/data", ""), True),
        (("/srv/data", "m"), ("/srv/data", "other"), True),
        # It was used before anything was mounted there; what is mounted now is what belongs there.
        (("/", "m"), ("/srv/data", ""), False),
        (("/", "m"), ("/srv/data", "m"), False),
        (("/", ""), ("/", "m"), False),
    ],
)
def test_what_says_that_a_root_is_not_what_it_was(
    known: tuple[str, str], found: tuple[str, str], refused: bool
) -> None:
    assert bool(_objection(Known("/srv/data/parts", *known), Known("/srv/data/parts", *found))) is refused
