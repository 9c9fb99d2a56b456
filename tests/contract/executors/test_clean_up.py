"""`clean_up` on every engine: leftovers go, published data stays, twice is once, and it is fenced."""

import signal
from pathlib import Path

import pytest
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.failures import Fenced, StepFailure
from agentd.executors.clean_up import CleanUp
from agentd.executors.extract import Extract
from agentd.executors.load import Load
from tests.contract.executors.attempts import Child, attempt, run
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import ENGINES, FilePlace
from tests.kit import torture


def former(scene: Scene) -> k.CleanUpParams:
    return k.CleanUpParams(former_content_at=scene.destination())


def kept(scene: Scene) -> list[str]:
    """Names of what is kept for undo at the place, by the engine's own means."""
    place = scene.place
    if isinstance(place, FilePlace):
        return [p.name for p in place.root.rglob("kept-*")]
    listed = {
        "sqlite": "SELECT name FROM sqlite_master WHERE name LIKE 'haulier_kept%'",
        "duckdb": "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'haulier_kept%'",
        "postgresql": "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE 'haulier_kept%' "
        "AND relnamespace = current_schema()::regnamespace",
    }
    return [row[0] for row in place._run(listed[place.engine])]  # type: ignore[attr-defined]


def cleaned(scene: Scene, params: k.CleanUpParams, fence: int) -> k.CleanUpResult:
    return k.CleanUpResult.FromString(run("clean_up", attempt(scene.home, "clean_up", params, fence)))


@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_kept_goes_and_what_was_published_stays(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    scene.place.put_earlier()
    params = scene.load_params(scene.staged(), replace=True)
    loaded = k.LoadResult.FromString(run("load", attempt(scene.home, "load", params, 1)))
    assert loaded.former_content_kept
    seen = scene.place.seen()
    assert len(kept(scene)) == 1
    assert cleaned(scene, former(scene), 2).removed == 1
    assert (kept(scene), scene.place.seen()) == ([], seen)
    assert cleaned(scene, former(scene), 3).removed == 0
    assert (kept(scene), scene.place.seen()) == ([], seen)
    with pytest.raises(Fenced):
        Load().run(attempt(scene.home, "load", params, 1))


@pytest.mark.parametrize("engine", ENGINES)
def test_where_nothing_was_there_before_nothing_goes(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    params = scene.load_params(scene.staged())
    loaded = k.LoadResult.FromString(run("load", attempt(scene.home, "load", params, 1)))
    assert loaded.HasField("former_content_kept")
    assert not loaded.former_content_kept
    seen = scene.place.seen()
    assert cleaned(scene, former(scene), 2).removed == 0
    assert scene.place.seen() == seen
    # Nothing is missing for undo, which only has to remove what was published.
    Load().undo(attempt(scene.home, "load", params, 3))
    assert scene.place.seen() is None


@pytest.mark.parametrize("engine", ENGINES)
def test_what_a_later_migration_would_put_back_stays(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    scene.place.put_earlier()
    params = scene.load_params(scene.staged(), replace=True)
    Load().run(attempt(scene.home, "load", params, 1))
    first = scene.place.seen()
    later = scene.load_params(scene.staged([torture.batch(unordered=False).slice(0, 5)]), replace=True)
    Load().run(attempt(scene.home, "load", later, 2, migration_id="mig_2"))
    assert cleaned(scene, former(scene), 3).removed == 1
    Load().undo(attempt(scene.home, "load", later, 4, migration_id="mig_2"))
    assert scene.place.seen() == first


@pytest.mark.parametrize("engine", ENGINES)
def test_killed_before_it_has_removed_anything_and_run_again(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    scene.place.put_earlier()
    Load().run(attempt(scene.home, "load", scene.load_params(scene.staged(), replace=True), 1))
    seen = scene.place.seen()
    killed = attempt(scene.home, "clean_up", former(scene), 2)
    child = Child("clean_up", killed, "before_removing", signal.SIGKILL)
    scene.children.append(child)
    child.await_point()
    again = attempt(scene.home, "clean_up", former(scene), 3, evict_attempt_ids=(killed.attempt_id,))
    assert k.CleanUpResult.FromString(run("clean_up", again)).removed == 1
    assert (kept(scene), scene.place.seen()) == ([], seen)


def staged_by(scene: Scene, step: str) -> k.CleanUpParams:
    return k.CleanUpParams(staged=k.StagedByStep(datastore=scene.staging, step_id=step))


def test_staged_parts_of_every_attempt_go_with_the_directory_of_the_migration(make_scene: MakeScene) -> None:
    scene = make_scene("sqlite")
    Load().run(attempt(scene.home, "load", scene.load_params(scene.staged()), 1))
    params = k.ExtractParams(source=scene.located(), staging=scene.staging)
    for _ in range(2):
        Extract().run(attempt(scene.home, "extract", params, 1))
    root = Path(scene.staging.parquet.root)
    (root / "mig_9").mkdir()
    held = sum(p.stat().st_size for p in (root / "mig_1").rglob("*") if p.is_file())
    result = cleaned(scene, staged_by(scene, "step_extract"), 2)
    assert (result.removed, result.freed_bytes) == (3, held)
    assert [p.name for p in root.iterdir() if not p.name.startswith(".")] == ["mig_9"]
    assert cleaned(scene, staged_by(scene, "step_extract"), 3).removed == 0


@pytest.mark.parametrize(
    ("params", "code"),
    [
        (k.CleanUpParams(), "bad_params"),
        (k.CleanUpParams(staged=k.StagedByStep(step_id="../../x")), "bad_params"),
        (k.CleanUpParams(staged=k.StagedByStep(step_id="mig_1")), "bad_params"),
    ],
)
def test_nothing_else_can_be_named(make_scene: MakeScene, params: k.CleanUpParams, code: str) -> None:
    scene = make_scene("csv")
    if params.HasField("staged"):
        params.staged.datastore.CopyFrom(scene.staging)
    with pytest.raises(StepFailure) as caught:
        CleanUp().run(attempt(scene.home, "clean_up", params, 1))
    assert caught.value.code == code


def test_what_no_step_has_staged_stays(make_scene: MakeScene) -> None:
    scene = make_scene("csv")
    own = Path(scene.staging.parquet.root) / "mig_1" / "step_extract" / "att_1"
    own.mkdir(parents=True)
    (own / "notes.txt").write_text("mine")
    with pytest.raises(StepFailure) as caught:
        CleanUp().run(attempt(scene.home, "clean_up", staged_by(scene, "step_extract"), 1))
    assert caught.value.code == "not_staged"
    assert (own / "notes.txt").read_text() == "mine"


def test_parts_on_a_disk_that_is_away_are_not_called_removed(make_scene: MakeScene) -> None:
    scene = make_scene("csv")
    Path(scene.staging.parquet.root).rmdir()
    with pytest.raises(StepFailure) as caught:
        CleanUp().run(attempt(scene.home, "clean_up", staged_by(scene, "step_extract"), 1))
    assert caught.value.code == "not_found"


@pytest.mark.parametrize("engine", ["sqlite", "duckdb", "postgresql"])
def test_what_took_the_name_of_kept_content_is_somebody_elses(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    scene.place.put_earlier()
    Load().run(attempt(scene.home, "load", scene.load_params(scene.staged(), replace=True), 1))
    (name,) = kept(scene)
    scene.place._run(f'ALTER TABLE "{name}" RENAME TO mine')  # type: ignore[attr-defined]
    scene.place._run(f'CREATE TABLE "{name}" (other integer)')  # type: ignore[attr-defined]
    with pytest.raises(StepFailure) as caught:
        CleanUp().run(attempt(scene.home, "clean_up", former(scene), 2))
    assert caught.value.code == "kept_altered"
    assert len(kept(scene)) == 1
