"""Every datastore as destination: run twice, killed anywhere and run again, undone, cancelled, stale, stopped."""

import signal
import time

import pytest
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.failures import Cancelled, Fenced, StepFailure
from agentd.executors.load import Load
from tests.contract.executors.attempts import POINTS, Child, attempt, run
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import ENGINES
from tests.kit import torture

pytestmark = [pytest.mark.parametrize("engine", ENGINES)]

# A successor evicts, waits for a process or a backend to end, and publishes 240 rows.
SUCCESSOR_S = 20.0


def one_run(scene: Scene, params: k.LoadParams) -> object:
    """What consumers see after one undisturbed run, which is then undone again under fence 2."""
    result = k.LoadResult.FromString(run("load", attempt(scene.home, "load", params, 1)))
    assert (result.rows, result.published_fence, result.already_published) == (240, 1, False)
    seen = scene.place.seen()
    assert seen is not None
    Load().undo(attempt(scene.home, "load", params, 2))
    return seen


def test_running_twice_equals_running_once(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    params = scene.load_params(scene.staged())
    first = attempt(scene.home, "load", params, 1)
    Load().run(first)
    seen = scene.place.seen()
    Load().run(first)
    assert scene.place.seen() == seen
    again = k.LoadResult.FromString(run("load", attempt(scene.home, "load", params, 2)))
    assert (again.rows, again.published_fence, again.already_published) == (240, 2, True)
    assert scene.place.seen() == seen


@pytest.mark.parametrize("point", POINTS)
def test_killed_anywhere_and_run_again_equals_one_run(make_scene: MakeScene, engine: str, point: str) -> None:
    scene = make_scene(engine)
    params = scene.load_params(scene.staged())
    seen = one_run(scene, params)
    killed = attempt(scene.home, "load", params, 3)
    child = Child("load", killed, point, signal.SIGKILL)
    scene.children.append(child)
    child.await_point()
    after = attempt(scene.home, "load", params, 4, evict_attempt_ids=(killed.attempt_id,))
    result = k.LoadResult.FromString(run("load", after))
    assert result.already_published == (point == "after_publish")
    assert (result.rows, result.published_fence) == (240, 4)
    assert scene.place.seen() == seen


def test_undo_restores_what_was_there(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    scene.place.put_earlier()
    earlier = scene.place.seen()
    params = scene.load_params(scene.staged(), replace=True)
    run("load", attempt(scene.home, "load", params, 1))
    assert scene.place.seen() != earlier
    # A second publish by the same migration must not become "what was there before".
    Load().run(attempt(scene.home, "load", params, 2))
    undo = attempt(scene.home, "load", params, 3)
    Load().undo(undo)
    assert scene.place.seen() == earlier
    Load().undo(undo)
    Load().undo(attempt(scene.home, "load", params, 4))
    assert scene.place.seen() == earlier


@pytest.mark.parametrize("point", POINTS[1:])
def test_undo_killed_anywhere_is_resumed(make_scene: MakeScene, engine: str, point: str) -> None:
    scene = make_scene(engine)
    scene.place.put_earlier()
    earlier = scene.place.seen()
    params = scene.load_params(scene.staged(), replace=True)
    run("load", attempt(scene.home, "load", params, 1))
    killed = attempt(scene.home, "load", params, 2)
    child = Child("load", killed, point, signal.SIGKILL, direction="undo")
    scene.children.append(child)
    child.await_point()
    Load().undo(attempt(scene.home, "load", params, 3, evict_attempt_ids=(killed.attempt_id,)))
    assert scene.place.seen() == earlier


def test_undo_of_what_never_published_still_refuses_the_late_forward(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    params = scene.load_params(scene.staged())
    Load().undo(attempt(scene.home, "load", params, 5))
    late = attempt(scene.home, "load", params, 4)
    with pytest.raises(Fenced):
        Load().probe(late)
    with pytest.raises(Fenced):
        Load().run(late)
    assert scene.place.seen() is None


def test_equal_fence_of_another_attempt_is_refused(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    params = scene.load_params(scene.staged())
    Load().run(attempt(scene.home, "load", params, 7))
    seen = scene.place.seen()
    with pytest.raises(Fenced):
        Load().run(attempt(scene.home, "load", params, 7))
    assert scene.place.seen() == seen


def test_what_is_not_ours_is_not_replaced_unasked(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    scene.place.put_earlier()
    earlier = scene.place.seen()
    with pytest.raises(StepFailure) as caught:
        run("load", attempt(scene.home, "load", scene.load_params(scene.staged()), 1))
    assert caught.value.code == "object_exists"
    assert scene.place.object in caught.value.message
    assert scene.place.seen() == earlier


def test_cancelled_before_the_publish_leaves_nothing(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    params = scene.load_params(scene.staged())
    calls: list[int] = []

    def cancel_at_second_look() -> None:
        calls.append(1)
        if len(calls) > 1:
            raise Cancelled

    cancelled = attempt(scene.home, "load", params, 1, check_cancelled=cancel_at_second_look)
    with pytest.raises(Cancelled):
        Load().run(cancelled)
    assert scene.place.seen() is None
    assert scene.place.left_over() == []
    assert k.LoadResult.FromString(run("load", attempt(scene.home, "load", params, 2))).rows == 240


@pytest.mark.parametrize("ending", ["published", "undone"])
@pytest.mark.parametrize("point", POINTS)
def test_a_stopped_attempt_is_superseded_and_refused(
    make_scene: MakeScene, engine: str, point: str, ending: str
) -> None:
    scene = make_scene(engine)
    params = scene.load_params(scene.staged())
    seen = one_run(scene, params)
    stopped = attempt(scene.home, "load", params, 3)
    zombie = Child("load", stopped, point, signal.SIGSTOP)
    scene.children.append(zombie)
    zombie.await_point()
    successor = attempt(scene.home, "load", params, 4, evict_attempt_ids=(stopped.attempt_id,))
    started_at = time.monotonic()
    if ending == "published":
        assert k.LoadResult.FromString(run("load", successor)).rows == 240
    else:
        Load().undo(successor)
    assert time.monotonic() - started_at < SUCCESSOR_S
    outcome = zombie.resume()
    if point == "after_publish" and outcome["ended"] == "done":
        # It had published before it was superseded; what it says now is rightly "done", and changes nothing.
        assert k.LoadResult.FromString(bytes.fromhex(outcome["result"])).published_fence == 3
    else:
        assert outcome["ended"] in ("killed", "failed"), outcome
        assert outcome.get("code", "fenced") in ("fenced", "unreachable", "connection_lost"), outcome
    assert scene.place.seen() == (seen if ending == "published" else None)


def test_a_holder_that_nobody_named_is_evicted_by_its_fence(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    params = scene.load_params(scene.staged())
    zombie = Child("load", attempt(scene.home, "load", params, 3), "publish_open", signal.SIGSTOP)
    scene.children.append(zombie)
    zombie.await_point()
    result = k.LoadResult.FromString(run("load", attempt(scene.home, "load", params, 4)))
    assert (result.rows, result.published_fence) == (240, 4)
    assert zombie.resume()["ended"] in ("killed", "failed")


def test_a_stale_attempt_does_not_end_its_successor(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    params = scene.load_params(scene.staged())
    newer = Child("load", attempt(scene.home, "load", params, 9), "before_publish", signal.SIGSTOP)
    scene.children.append(newer)
    newer.await_point()
    if engine != "duckdb":  # where the file cannot even be opened beside its one writer
        with pytest.raises(Fenced):
            run("load", attempt(scene.home, "load", params, 8))
    assert newer.resume()["ended"] == "done"
    assert scene.place.seen() is not None


def test_a_migration_is_undone_only_from_the_top(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    params = scene.load_params(scene.staged())
    run("load", attempt(scene.home, "load", params, 1))
    first = scene.place.seen()
    other = scene.load_params(scene.staged([torture.batch(100, unordered=False)]))
    run("load", attempt(scene.home, "load", other, 2, migration_id="mig_2"))
    second = scene.place.seen()
    assert second != first
    with pytest.raises(StepFailure) as caught:
        Load().undo(attempt(scene.home, "load", params, 3))
    assert caught.value.code == "published_over"
    assert scene.place.seen() == second
    Load().undo(attempt(scene.home, "load", other, 4, migration_id="mig_2"))
    assert scene.place.seen() == first
    Load().undo(attempt(scene.home, "load", params, 5))
    assert scene.place.seen() is None


def test_nothing_destructive_past_the_local_deadline(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    params = scene.load_params(scene.staged())
    run("load", attempt(scene.home, "load", params, 1))
    seen = scene.place.seen()

    def expired() -> None:
        raise StepFailure("lease_expired", "the local deadline has passed", retryable=True)

    with pytest.raises(StepFailure) as caught:
        Load().undo(attempt(scene.home, "load", params, 2, before_destructive=expired))
    assert caught.value.code == "lease_expired"
    assert scene.place.seen() == seen
    Load().undo(attempt(scene.home, "load", params, 3))
    assert scene.place.seen() is None


def test_points_are_reached_in_order(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    reached: list[str] = []
    ctx = attempt(scene.home, "load", scene.load_params(scene.staged()), 1, reach=reached.append)
    Load().run(ctx)
    assert reached == list(POINTS)


def test_two_loads_into_one_place_at_once_both_succeed(make_scene: MakeScene, engine: str) -> None:
    """Different objects of one file or database: whoever comes second waits, and nobody is evicted."""
    scene = make_scene(engine)
    children = []
    for number in (1, 2):
        params = scene.load_params(scene.staged())
        params.destination.object = f"object_{number}" + (f".{engine}" if engine in ("csv", "parquet") else "")
        ctx = attempt(scene.home, "load", params, number, target=f"ds_{number}", migration_id=f"mig_{number}")
        children.append(Child("load", ctx, "", signal.SIGCONT))
        scene.children.append(children[-1])
    assert [child.resume()["ended"] for child in children] == ["done", "done"]


def test_a_destination_that_disagrees_with_what_was_staged_is_refused(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    params = scene.load_params(scene.staged())
    params.destination.key.append("colour")
    with pytest.raises(StepFailure, match="key column 'colour'"):
        Load().run(attempt(scene.home, "load", params, 1))
    del params.destination.key[:]
    params.destination.columns.add(name="id", type=k.COLUMN_TYPE_TEXT)
    with pytest.raises(StepFailure, match="the destination declares columns"):
        Load().run(attempt(scene.home, "load", params, 2))
    assert scene.place.seen() is None


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("ending", ["published", "undone"])
def test_overtaken_where_nobody_can_be_evicted(make_scene: MakeScene, engine: str, point: str, ending: str) -> None:
    """The successor runs while the other stands at its point, in a process that must not be ended: only the fence
    is left. PostgreSQL ends the other's session all the same."""
    if point == "publish_open" and engine in ("sqlite", "duckdb"):
        pytest.skip("an open transaction keeps everybody else out of the file until its process ends")
    scene = make_scene(engine)
    params = scene.load_params(scene.staged())
    seen = one_run(scene, params)

    def overtake(reached: str) -> None:
        if reached == point:
            if ending == "published":
                run("load", attempt(scene.home, "load", params, 4))
            else:
                Load().undo(attempt(scene.home, "load", params, 4))

    old = attempt(scene.home, "load", params, 3, reach=overtake)
    if point == "after_publish":
        Load().run(old)
    else:
        with pytest.raises(StepFailure) as caught:
            Load().run(old)
        assert caught.value.code in ("fenced", "unreachable", "connection_lost")
    assert scene.place.seen() == (seen if ending == "published" else None)
