"""A swap that must wait lets everybody pass, says for whom it waits, and loads nothing twice."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from haulier.v1 import kinds_pb2 as k
from sqlite_utils import Database

from agentd.datastores.port.failures import StepFailure
from agentd.executors.context import Context
from agentd.executors.load import Load
from agentd.executors.translate import location, opened
from tests.contract.executors.attempts import attempt, run
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import DuckdbPlace, PostgresqlPlace, SqlitePlace
from tests.kit.file_holders import IdleReader

WAITED_S = 60.0


class Watched:
    """An attempt's progress, with a signal when it waits so often."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.marks: list[int] = []
        self.reached: list[str] = []
        self._changed = threading.Condition()

    def progress(self, watermark: int, total: int = 0, done_bytes: int = 0, stage: str = "") -> None:
        del total, done_bytes
        with self._changed:
            self.marks.append(watermark)
            self.stages.append(stage)
            self._changed.notify_all()

    @property
    def waits(self) -> list[str]:
        return [stage for stage in self.stages if stage.startswith("waiting for ")]

    def await_waits(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.waits) >= count, WAITED_S), self.stages


def begin(scene: Scene, act: Callable[[Any], Any], params: k.LoadParams, fence: int) -> tuple[Watched, "Future[Any]"]:
    """The act in a thread of its own, watched."""
    watched = Watched()
    ctx = attempt(scene.home, "load", params, fence, progress=watched.progress, reach=watched.reached.append)
    return watched, ThreadPoolExecutor(1).submit(act, ctx)


@pytest.mark.parametrize("act", ["load", "undo"])
def test_an_idle_reader_of_a_table_delays_the_swap_and_nobody_else(make_scene: MakeScene, act: str) -> None:
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    place.put_earlier()
    params = scene.load_params(scene.staged(), replace=True)
    fence = 1
    if act == "undo":
        run("load", attempt(scene.home, "load", params, fence))
        fence = 2
    with place.connect() as reader, place.connect() as other:
        reader.execute(b"BEGIN")
        reader.execute(b"SELECT count(*) FROM things")
        watched, ending = begin(scene, (lambda ctx: run("load", ctx)) if act == "load" else Load().undo, params, fence)
        watched.await_waits(2)
        # While it waits, whoever comes later is let in at once.
        other.execute(b"SET statement_timeout = '2s'")
        other.execute(b"SELECT count(*) FROM things")
        assert not ending.done()
        said = watched.waits[-1]
        pid = reader.info.backend_pid
        assert f"waiting for a lock on 'things', held by pid {pid} of user '{place.server.role}'" in said
        reader.execute(b"COMMIT")
        ending.result(WAITED_S)
    # The rows were loaded once, and the watermark grew while it waited, which renews the lease.
    assert watched.reached.count("before_publish") == (1 if act == "load" else 0)
    waiting = [mark for mark, stage in zip(watched.marks, watched.stages, strict=True) if stage in watched.waits]
    assert waiting == sorted(set(waiting))
    assert scene.place.left_over() == []


def test_dropping_former_content_waits_for_who_still_reads_it(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    place.put_earlier()
    params = scene.load_params(scene.staged(), replace=True)
    run("load", attempt(scene.home, "load", params, 1))

    def drop_former(ctx: Context) -> int:
        return opened(ctx, params.destination.datastore).drop_former(location(params.destination), ctx.writer()).count

    with place.connect() as reader:
        ((kept,),) = reader.execute(
            b"SELECT relname FROM pg_class WHERE relname LIKE 'haulier_kept%' AND relkind = 'r' "
            b"AND relnamespace = to_regnamespace(current_schema())"
        )
        reader.execute(b"BEGIN")
        reader.execute(f"SELECT count(*) FROM {kept}".encode())
        watched, ending = begin(scene, drop_former, params, 2)
        watched.await_waits(1)
        assert f"a lock on '{kept}', held by pid {reader.info.backend_pid}" in watched.waits[-1]
        reader.execute(b"COMMIT")
        assert ending.result(WAITED_S) == 1


def test_a_wait_is_bounded_and_names_who_it_was_for(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    place.put_earlier()
    before = place.seen()
    place.datastore.postgresql.lock_wait_s = 1
    params = scene.load_params(scene.staged(), replace=True)
    reader = place.connect()
    reader.execute(b"BEGIN")
    reader.execute(b"SELECT count(*) FROM things")
    with pytest.raises(StepFailure) as caught:
        run("load", attempt(scene.home, "load", params, 1))
    assert caught.value.code == "busy" and caught.value.retryable
    assert f"held by pid {reader.info.backend_pid} of user" in caught.value.message
    assert "nothing was changed" in caught.value.message and "lockWait" in caught.value.hint
    # The remedy that the hint gives is one.
    remedy = caught.value.hint.partition("SELECT ")[2].partition(".")[0]
    with place.connect() as other:
        other.execute(f"SELECT {remedy}".encode())
    reader.close()
    assert place.seen() == before
    assert scene.place.left_over() == []
    assert k.LoadResult.FromString(run("load", attempt(scene.home, "load", params, 2))).rows == 240


def test_a_lock_that_another_role_holds_is_named_as_far_as_can_be_seen(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    place.put_earlier()
    params = scene.load_params(scene.staged(), replace=True)
    with place.connect(place.server.admin) as reader:
        reader.execute(b"BEGIN")
        reader.execute(b"SELECT count(*) FROM things")
        watched, ending = begin(scene, lambda ctx: run("load", ctx), params, 1)
        watched.await_waits(2)
        assert f"pid {reader.info.backend_pid} of user '{place.server.admin}'" in watched.waits[-1]
        assert "at least" in watched.waits[-1]
        reader.execute(b"COMMIT")
        ending.result(WAITED_S)


def test_a_wait_can_be_cancelled(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    place.put_earlier()
    before = place.seen()
    params = scene.load_params(scene.staged(), replace=True)

    class Stopped(Exception):
        pass

    def stop_when_it_waits(watermark: int, total: int = 0, done_bytes: int = 0, stage: str = "") -> None:
        if stage.startswith("waiting for "):
            raise Stopped

    with place.connect() as reader:
        reader.execute(b"BEGIN")
        reader.execute(b"SELECT count(*) FROM things")
        with pytest.raises(Stopped):
            run("load", attempt(scene.home, "load", params, 1, progress=stop_when_it_waits))
        reader.execute(b"COMMIT")
    assert place.seen() == before
    assert scene.place.left_over() == []


def test_an_idle_writer_delays_an_undo_and_no_reader(make_scene: MakeScene) -> None:
    """Undo reads what is there with writers locked out, so it waits for one that is in the middle of something."""
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    params = scene.load_params(scene.staged())
    run("load", attempt(scene.home, "load", params, 1))
    with place.connect() as idle, place.connect() as other:
        idle.execute(b"BEGIN")
        idle.execute(b"UPDATE things SET id = id WHERE false")
        watched, ending = begin(scene, Load().undo, params, 2)
        watched.await_waits(2)
        other.execute(b"SET statement_timeout = '2s'")
        other.execute(b"SELECT count(*) FROM things")
        other.execute(b"UPDATE things SET id = id WHERE false")
        assert f"held by pid {idle.info.backend_pid} of user" in watched.waits[-1]
        idle.execute(b"ROLLBACK")
        ending.result(WAITED_S)
    assert place.seen() is None


def test_a_duckdb_file_that_another_process_has_is_waited_for_and_named(make_scene: MakeScene) -> None:
    scene = make_scene("duckdb")
    place = scene.place
    assert isinstance(place, DuckdbPlace)
    place.put_earlier()
    params = scene.load_params(scene.staged(), replace=True)
    idle = IdleReader(place.path)
    try:
        watched, ending = begin(scene, lambda ctx: run("load", ctx), params, 1)
        watched.await_waits(2)
        assert f"waiting for the lock on {place.path}, held by" in watched.waits[-1]
        assert f"PID {idle.pid}" in watched.waits[-1]
        idle.end()
        ending.result(WAITED_S)
    finally:
        idle.end()
    params.destination.datastore.duckdb.lock_wait_s = 1
    idle = IdleReader(place.path)
    try:
        with pytest.raises(StepFailure) as caught:
            Load().run(attempt(scene.home, "load", params, 2))
        assert caught.value.code == "busy" and f"PID {idle.pid}" in caught.value.message
    finally:
        idle.end()


@pytest.mark.parametrize("act", ["load", "undo"])
def test_an_idle_reader_of_a_sqlite_file_delays_the_swap_and_nobody_else(make_scene: MakeScene, act: str) -> None:
    scene = make_scene("sqlite")
    place = scene.place
    assert isinstance(place, SqlitePlace)
    place.put_earlier()
    params = scene.load_params(scene.staged(), replace=True)
    fence = 1
    if act == "undo":
        run("load", attempt(scene.home, "load", params, fence))
        fence = 2
    idle = IdleReader(place.path)
    try:
        watched, ending = begin(scene, (lambda ctx: run("load", ctx)) if act == "load" else Load().undo, params, fence)
        watched.await_waits(2)
        assert f"waiting for the lock on {place.path}, held by" in watched.waits[-1]
        assert f"(pid {idle.pid}) of user" in watched.waits[-1]
        # While it waits, whoever comes later is let in: the commit keeps its lock for moments only.
        other = Database(place.path)
        other.execute("PRAGMA busy_timeout = 5000")
        other.execute("SELECT count(*) FROM sqlite_master").fetchall()
        other.close()
        idle.end()
        ending.result(WAITED_S)
    finally:
        idle.end()
    assert watched.reached.count("before_publish") == (1 if act == "load" else 0)


def test_a_sqlite_file_that_is_not_let_go_is_named(make_scene: MakeScene) -> None:
    scene = make_scene("sqlite")
    place = scene.place
    assert isinstance(place, SqlitePlace)
    place.put_earlier()
    place.datastore.sqlite.lock_wait_s = 1
    idle = IdleReader(place.path)
    try:
        with pytest.raises(StepFailure) as caught:
            run("load", attempt(scene.home, "load", scene.load_params(scene.staged(), replace=True), 1))
        assert caught.value.code == "busy" and caught.value.retryable
        assert f"(pid {idle.pid})" in caught.value.message
    finally:
        idle.end()
    assert (
        k.LoadResult.FromString(
            run("load", attempt(scene.home, "load", scene.load_params(scene.staged(), replace=True), 2))
        ).rows
        == 240
    )
