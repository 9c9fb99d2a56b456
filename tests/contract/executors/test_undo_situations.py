"""Undo against what people do at a destination: nothing foreign is destroyed, nothing is called done that was not."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.failures import StepFailure
from agentd.executors.load import Load
from tests.contract.executors.acts import FILE_ACTS, SQL_ACTS, Act, everything, home, kept_name, rename_kept
from tests.contract.executors.attempts import attempt, run
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import ENGINES, FilePlace, Place, PostgresqlPlace

CASES = [
    pytest.param(engine, act, id=f"{engine}-{act.name}") for act in (*SQL_ACTS, *FILE_ACTS) for engine in act.engines
]


def loaded(scene: Scene, *, replace: bool = True) -> tuple[k.LoadParams, bytes]:
    """A publish over content of somebody's own, with what it reported."""
    params = scene.load_params(scene.staged(), replace=replace)
    return params, run("load", attempt(scene.home, "load", params, 1))


def undo(scene: Scene, params: k.LoadParams, fence: int, forward: bytes, **changes: Any) -> StepFailure | None:
    """One attempt at the undo; how it failed."""
    try:
        Load().undo(attempt(scene.home, "load", params, fence, forward_result=forward, **changes))
    except StepFailure as err:
        return err
    return None


@pytest.mark.parametrize(("engine", "act"), CASES)
def test_undo_touches_only_what_was_published_as_it_was_published(make_scene: MakeScene, engine: str, act: Act) -> None:
    scene = make_scene(engine)
    scene.place.put_earlier()
    earlier = scene.place.seen()
    params, forward = loaded(scene)
    act.happens_at(scene.place)
    before = everything(scene.place)
    failure = undo(scene, params, 2, forward)
    if not act.code:
        assert failure is None
        assert scene.place.seen() == earlier
        return
    assert failure is not None
    assert (failure.code, failure.retryable) == (act.code, False)
    assert re.search(act.says, failure.message), failure.message
    assert "secret" not in str(failure)
    assert "mig_1" in failure.hint
    assert everything(scene.place) == before
    # Asked again, it says the same; and a person's consent goes as far as it says.
    again = undo(scene, params, 3, forward)
    assert again is not None
    assert again.code == act.code
    consented = undo(scene, params, 4, forward, discard_changes=True)
    if act.discards:
        assert consented is None
        assert undo(scene, params, 5, forward) is None
    else:
        assert consented is not None
        assert everything(scene.place) == before


def as_an_earlier_release_left_it(place: Place) -> None:
    """Take away what publishes of today remember beside the publication."""
    if isinstance(place, FilePlace):
        for entry in sorted(home(place).glob("*.json")):
            cells = json.loads(entry.read_text())
            for name in ("data", "kept"):
                if cells[name]:
                    plain = re.sub(r"-[0-9a-f]{64}", "", cells[name])
                    (home(place) / cells[name]).rename(home(place) / plain)
                    cells[name] = plain
            entry.write_text(json.dumps(cells))
        return
    for column in ("identity", "kept_identity"):
        place._run(f"ALTER TABLE haulier_publication DROP COLUMN {column}")  # type: ignore[attr-defined]


@pytest.mark.parametrize("engine", ENGINES)
def test_what_an_earlier_release_published_is_told_by_its_rows(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    scene.place.put_earlier()
    earlier = scene.place.seen()
    params, forward = loaded(scene)
    as_an_earlier_release_left_it(scene.place)
    published = scene.place.seen()
    scene.place.alter("Mixed Name", "secret", "id", 1)
    before = everything(scene.place)
    failure = undo(scene, params, 2, forward)
    assert failure is not None
    assert failure.code == "not_as_published"
    assert everything(scene.place) == before
    assert scene.place.seen() != published
    assert undo(scene, params, 3, forward, discard_changes=True) is None
    assert scene.place.seen() == earlier


@pytest.mark.parametrize("engine", ENGINES)
def test_what_an_earlier_release_published_is_undone(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    scene.place.put_earlier()
    earlier = scene.place.seen()
    params, forward = loaded(scene)
    as_an_earlier_release_left_it(scene.place)
    assert undo(scene, params, 2, forward) is None
    assert scene.place.seen() == earlier


@pytest.mark.parametrize("engine", ENGINES)
def test_what_comes_after_an_undo_is_never_touched_by_its_repeat(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    params, forward = loaded(scene, replace=False)
    assert undo(scene, params, 2, forward) is None
    scene.place.put_earlier()
    theirs = everything(scene.place)
    assert undo(scene, params, 3, forward) is None
    assert undo(scene, params, 4, forward, discard_changes=True) is None
    assert everything(scene.place) == theirs


@pytest.mark.parametrize("engine", ENGINES)
def test_an_undo_that_stopped_goes_on_once_things_are_put_right(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    scene.place.put_earlier()
    earlier = scene.place.seen()
    params, forward = loaded(scene)
    kept = kept_name(scene.place)
    rename_kept(scene.place, kept, "aside")
    failure = undo(scene, params, 2, forward)
    assert failure is not None
    assert kept in failure.message
    rename_kept(scene.place, "aside", kept)
    assert undo(scene, params, 3, forward) is None
    assert scene.place.seen() == earlier


def test_a_row_committed_while_undo_waits_for_the_lock_is_seen(make_scene: MakeScene) -> None:
    """The rows are read behind a lock that stops writers, so none can slip in between the look and the drop."""
    scene = make_scene("postgresql")
    assert isinstance(scene.place, PostgresqlPlace)
    params, forward = loaded(scene, replace=False)
    ctx = attempt(scene.home, "load", params, 2, forward_result=forward)
    with scene.place.connect() as application, scene.place.connect() as watcher, ThreadPoolExecutor(1) as pool:
        application.execute("INSERT INTO things (id) VALUES (77)")
        undone = pool.submit(Load().undo, ctx)
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'things'::regclass"
        watcher.autocommit = True
        while not undone.done() and watcher.execute(waits).fetchone() != (1,):
            pass
        assert scene.place.seen() is not None  # readers pass
        application.commit()
        with pytest.raises(StepFailure) as caught:
            undone.result()
    assert caught.value.code == "not_as_published"
    assert "241 rows" in caught.value.message
