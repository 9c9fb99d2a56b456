"""A writer's session at PostgreSQL: who may end it, and what is said where it was ended."""

import hashlib
import re
from contextlib import closing

import psycopg
import pytest
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.failures import Fenced, StepFailure
from agentd.datastores.postgresql.eviction import SESSION
from agentd.executors.context import Context
from agentd.executors.registry import kind_of
from tests.contract.executors.attempts import attempt, run
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import PostgresqlPlace
from tests.kit.postgres import SHARED, PostgresServer


@pytest.fixture
def scene(make_scene: MakeScene) -> Scene:
    return make_scene("postgresql")


def place_of(scene: Scene) -> PostgresqlPlace:
    assert isinstance(scene.place, PostgresqlPlace)
    return scene.place


def loading(scene: Scene, fence: int, replace: bool = False, **changes: object) -> Context:
    return attempt(scene.home, "load", scene.load_params(scene.staged(), replace), fence, **changes)


def lock_of(target: str) -> int:
    """The advisory lock of a write target, as every release has taken it."""
    return int.from_bytes(hashlib.blake2b(target.encode(), digest_size=8).digest(), signed=True)


def stranger(server: PostgresServer, name: str) -> psycopg.Connection[tuple[object, ...]]:
    """Another client's session under a name of ours, as a pooled one keeps it, in the middle of its own work."""
    connection = server.connect(SHARED, server.role)
    connection.execute(f"SET application_name = '{name}'".encode())
    connection.execute("BEGIN")
    return connection


def is_alive(connection: psycopg.Connection[tuple[object, ...]]) -> bool:
    try:
        return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.Error:
        return False


def test_a_session_that_only_has_our_name_is_left_alone(scene: Scene, postgres_server: PostgresServer) -> None:
    with stranger(postgres_server, "haulier/att_earlier") as other:
        run("load", loading(scene, 2, evict_attempt_ids=("att_earlier",)))
        assert is_alive(other)


def test_a_process_number_that_came_round_again_is_left_alone(scene: Scene, postgres_server: PostgresServer) -> None:
    """An attempt's record outlives it; the number of its process serves somebody else by now."""
    run("load", loading(scene, 1))
    with stranger(postgres_server, "haulier/att_earlier") as other, place_of(scene).connect() as hand:
        row = (other.info.backend_pid, "ds_things@there", 1, "att_earlier")
        hand.execute(f"INSERT INTO {SESSION} VALUES (%s, now() - interval '1 day', %s, %s, %s)".encode(), row)
        run("load", loading(scene, 2, evict_attempt_ids=("att_earlier",)))
        assert is_alive(other)
        assert hand.execute(f"SELECT count(*) FROM {SESSION}".encode()).fetchone() == (0,)


def test_who_holds_the_target_without_a_record_is_named_and_left_alone(
    scene: Scene, postgres_server: PostgresServer
) -> None:
    with closing(stranger(postgres_server, "haulier/att_of_an_older_release")) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (lock_of("ds_things@there"),))
        with pytest.raises(StepFailure) as caught:
            run("load", loading(scene, 2, evict_attempt_ids=("att_of_an_older_release",)))
        assert is_alive(other)
        assert (caught.value.code, caught.value.retryable) == ("busy", True)
        assert f"server process {other.info.backend_pid} of role 'mover'" in caught.value.message
        assert "'haulier/att_of_an_older_release'" in caught.value.message
        # The way out works as it is told.
        (statement,) = re.findall(r"SELECT pg_terminate_backend\(\d+\)", caught.value.hint)
        with postgres_server.connect(SHARED) as admin:
            admin.execute(statement.replace(")", ", 10000)").encode())
    run("load", loading(scene, 3))


def test_sessions_leave_no_record(scene: Scene) -> None:
    run("load", loading(scene, 1))
    kind_of("load").make().undo(loading(scene, 2))
    with place_of(scene).connect() as hand:
        assert hand.execute(f"SELECT count(*) FROM {SESSION}".encode()).fetchone() == (0,)


def ended_by_the_server(server: PostgresServer, ctx_name: str) -> None:
    """What a restart does to a session, and what a successor does: the server's words are the same."""
    with server.connect(SHARED) as admin:
        ended = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE application_name = %s"
        assert admin.execute(ended.encode(), (f"haulier/{ctx_name}",)).fetchone() == (1,)


def test_a_session_that_a_restart_ended_is_tried_again(scene: Scene, postgres_server: PostgresServer) -> None:
    place_of(scene).put_earlier()
    before = scene.place.seen()

    def reach(point: str) -> None:
        if point == "before_publish":
            ended_by_the_server(postgres_server, ctx.attempt_id)

    ctx = loading(scene, 1, replace=True, reach=reach)
    with pytest.raises(StepFailure) as caught:
        run("load", ctx)
    assert caught.value.code in ("unreachable", "connection_lost")
    assert caught.value.retryable
    assert caught.value.unreachable
    assert caught.value.message.startswith("destination datastore 'elephant'")
    assert caught.value.message.endswith("; nothing was swapped")
    assert scene.place.seen() == before
    run("load", loading(scene, 2, replace=True))
    assert scene.place.seen() != before


def test_a_session_that_a_successor_ended_is_fenced(scene: Scene, postgres_server: PostgresServer) -> None:
    def reach(point: str) -> None:
        if point == "before_publish":
            run("load", loading(scene, 2, evict_attempt_ids=(ctx.attempt_id,)))

    ctx = loading(scene, 1, reach=reach)
    with pytest.raises(Fenced, match="accepted fence 2"):
        run("load", ctx)


def test_a_reader_that_a_restart_ended_is_tried_again(scene: Scene, postgres_server: PostgresServer) -> None:
    # More than the buffers between hold, so that the server is still sending.
    with place_of(scene).connect() as hand:
        hand.execute(
            "CREATE TABLE things AS SELECT n AS id, repeat('x', 100) AS word FROM generate_series(1, 300000) n"
        )

    def progress(watermark: int, total: int = 0, done_bytes: int = 0, stage: str = "") -> None:
        if not watermark:
            return
        with postgres_server.connect(SHARED) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = %s",
                (f"haulier/{ctx.attempt_id}",),
            )

    params = k.ExtractParams(source=scene.destination(), staging=scene.staging)
    ctx = attempt(scene.home, "extract", params, 1, progress=progress)
    with pytest.raises(StepFailure) as caught:
        run("extract", ctx)
    assert caught.value.unreachable
    assert caught.value.message.startswith("source datastore 'elephant'")
