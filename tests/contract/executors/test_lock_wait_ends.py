"""`lockWait` bounds every wait of a writer: whoever holds the destination, whatever the writer is about to do."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.failures import StepFailure
from agentd.datastores.sqlite import datastore
from agentd.executors.context import Context
from agentd.executors.load import Load
from tests.contract.executors.attempts import attempt, run
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import DuckdbPlace, PostgresqlPlace, SqlitePlace
from tests.kit.file_holders import IdleWriter

WAITED_S = 60.0
HELD = ("sqlite", "sqlite, readers kept out", "duckdb", "postgresql")


@contextmanager
def writing(scene: Scene, held: str) -> Iterator[str]:
    """Somebody is in the middle of writing the destination; how a message names them."""
    place = scene.place
    if isinstance(place, PostgresqlPlace):
        with place.connect() as other:
            other.execute(b"BEGIN")
            other.execute(b"LOCK TABLE things IN ACCESS EXCLUSIVE MODE")
            # What an undo has left there, or a publish kept, is held by whoever writes it as well.
            for (kept,) in other.execute(
                b"SELECT relname FROM pg_class WHERE relname LIKE 'haulier_kept%' AND relkind = 'r' "
                b"AND relnamespace = to_regnamespace(current_schema())"
            ).fetchall():
                other.execute(f"LOCK TABLE {kept} IN ACCESS EXCLUSIVE MODE".encode())
            yield f"pid {other.info.backend_pid} of user"
            other.execute(b"ROLLBACK")
        return
    assert isinstance(place, SqlitePlace | DuckdbPlace)
    somebody = IdleWriter(place.path, exclusive="readers" in held)
    try:
        yield f"({'PID' if isinstance(place, DuckdbPlace) else 'pid'} {somebody.pid})"
    finally:
        somebody.end()


def made(make_scene: MakeScene, held: str, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A place with earlier content, and a second of patience. Whatever waits by another bound waits for an hour."""
    monkeypatch.setattr(datastore, "READ_BUSY_S", 3600.0)
    scene = make_scene(held.partition(",")[0])
    scene.place.put_earlier()
    getattr(scene.place.datastore, scene.place.engine).lock_wait_s = 1
    return scene


def given_up(act: Callable[[Context], Any], ctx: Context, named: Callable[[], str]) -> None:
    """See that the act ends as busy, and why."""
    # Whoever is still waiting then goes on when the holder ends.
    failure = ThreadPoolExecutor(1).submit(act, ctx).exception(WAITED_S)
    assert isinstance(failure, StepFailure), failure
    assert (failure.code, failure.retryable) == ("busy", True)
    assert named() in failure.message
    assert "was not let go within 1s, and nothing was changed" in failure.message
    assert "A longer lockWait of the Datastore" in failure.hint


@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("act", ["load", "undo", "clean_up"])
def test_a_destination_that_somebody_writes_is_given_up_in_the_promised_time(
    make_scene: MakeScene, held: str, act: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = made(make_scene, held, monkeypatch)
    before = scene.place.seen()
    staged = scene.staged()
    load = scene.load_params(staged, replace=True)
    acts: dict[str, tuple[Callable[[Context], Any], Any]] = {
        "load": (lambda ctx: run("load", ctx), load),
        "undo": (Load().undo, load),
        "clean_up": (lambda ctx: run("clean_up", ctx), k.CleanUpParams(former_content_at=scene.destination())),
    }
    carry_out, params = acts[act]
    if act != "load":
        run("load", attempt(scene.home, "load", load, 1))
    there = scene.place.seen()
    with writing(scene, held) as named:
        given_up(carry_out, attempt(scene.home, act, params, 2), lambda: named)
    assert scene.place.seen() == there
    # Everything that was staged is there still, and the next try does it.
    carry_out(attempt(scene.home, act, params, 3))
    if act == "clean_up":
        assert scene.place.seen() == there
    else:
        assert (scene.place.seen() == before) is (act == "undo")
    assert scene.place.left_over() == []


@pytest.mark.parametrize("held", HELD[:2])
@pytest.mark.parametrize("at", ["first row", "before_publish"])
def test_a_writer_that_came_in_the_middle_is_given_up_on_in_the_promised_time(
    make_scene: MakeScene, held: str, at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SQLite file is free between two transactions of a load, and anybody may begin one there."""
    scene = made(make_scene, held, monkeypatch)
    before = scene.place.seen()
    params = scene.load_params(scene.staged(), replace=True)
    names: list[str] = []
    with ExitStack() as came:

        def come() -> None:
            if not names:
                names.append(came.enter_context(writing(scene, held)))

        def reach(point: str) -> None:
            if point == at:
                come()

        def say(watermark: int, total: int = 0, done_bytes: int = 0, stage: str = "") -> None:
            del total, done_bytes, stage
            if at == "first row" and watermark:
                come()

        ctx = attempt(scene.home, "load", params, 1, reach=reach, progress=say)
        given_up(lambda ctx: run("load", ctx), ctx, lambda: names[0])
    assert scene.place.seen() == before
    assert k.LoadResult.FromString(run("load", attempt(scene.home, "load", params, 2))).rows == 240
    assert scene.place.left_over() == []
