"""A publish over an earlier one: only what is still as it was published gives way; the rest is refused, or kept."""

import pytest
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.failures import StepFailure
from agentd.executors.load import Load
from tests.contract.executors.acts import FILE_ACTS, SQL_ACTS, Act, everything
from tests.contract.executors.attempts import attempt, run
from tests.contract.executors.conftest import MakeScene, Scene
from tests.kit import torture

# What changes the object itself; kept content and records are undo's business.
CHANGED = [
    pytest.param(engine, act, id=f"{engine}-{act.name}")
    for act in (*SQL_ACTS, *FILE_ACTS)
    for engine in act.engines
    if act.code == "not_as_published" and act.takes_the_name
]


def next_migration(scene: Scene, *, replace: bool) -> k.LoadParams:
    return scene.load_params(scene.staged([torture.batch(100, unordered=False)]), replace=replace)


@pytest.mark.parametrize(("engine", "act"), CHANGED)
def test_refuse_never_replaces_what_somebody_changed(make_scene: MakeScene, engine: str, act: Act) -> None:
    scene = make_scene(engine)
    run("load", attempt(scene.home, "load", scene.load_params(scene.staged()), 1))
    act.happens_at(scene.place)
    before = everything(scene.place)
    following = next_migration(scene, replace=False)
    with pytest.raises(StepFailure) as caught:
        run("load", attempt(scene.home, "load", following, 2, migration_id="mig_2"))
    assert caught.value.code in ("not_as_published", "object_exists")
    assert everything(scene.place) == before


@pytest.mark.parametrize(("engine", "act"), CHANGED)
def test_a_retry_never_drops_what_somebody_changed(make_scene: MakeScene, engine: str, act: Act) -> None:
    """The same migration loads again, with `replace` and another input: what is there is not its own any more."""
    scene = make_scene(engine)
    scene.place.put_earlier()
    run("load", attempt(scene.home, "load", scene.load_params(scene.staged(), replace=True), 1))
    act.happens_at(scene.place)
    before = everything(scene.place)
    with pytest.raises(StepFailure) as caught:
        run("load", attempt(scene.home, "load", next_migration(scene, replace=True), 2))
    assert caught.value.code in ("not_as_published", "object_exists", "would_lose", "cannot_replace")
    assert everything(scene.place) == before


@pytest.mark.parametrize("engine", ["csv", "parquet", "sqlite", "duckdb", "postgresql"])
def test_replace_keeps_what_an_application_wrote_and_undo_brings_it_back(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    run("load", attempt(scene.home, "load", scene.load_params(scene.staged()), 1))
    scene.place.alter("Mixed Name", "written later", "id", 1)
    written = scene.place.seen()
    following = next_migration(scene, replace=True)
    result = run("load", attempt(scene.home, "load", following, 2, migration_id="mig_2"))
    assert scene.place.seen() != written
    Load().undo(attempt(scene.home, "load", following, 3, migration_id="mig_2", forward_result=result))
    assert scene.place.seen() == written


@pytest.mark.parametrize("engine", ["csv", "parquet", "sqlite", "duckdb", "postgresql"])
def test_what_nobody_changed_is_replaced_as_before(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    run("load", attempt(scene.home, "load", scene.load_params(scene.staged()), 1))
    first = scene.place.seen()
    following = next_migration(scene, replace=False)
    run("load", attempt(scene.home, "load", following, 2, migration_id="mig_2"))
    assert scene.place.seen() != first
    # And by its own migration again, from another input.
    params = scene.load_params(scene.staged())
    run("load", attempt(scene.home, "load", params, 3, migration_id="mig_2"))
    assert scene.place.seen() == first
