"""What a PostgreSQL server, its settings and its rights forbid is told before anything moves, with what mends it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agentd.datastores.port.failures import StepFailure
from agentd.executors.context import Context
from tests.contract.executors.attempts import attempt, run
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import PostgresqlPlace
from tests.kit.postgres import GUARDED, SHARED, PostgresServer


@pytest.fixture
def scene(make_scene: MakeScene) -> Scene:
    return make_scene("postgresql")


def schema_of(scene: Scene) -> str:
    assert isinstance(scene.place, PostgresqlPlace)
    return scene.place.schema


def loading(scene: Scene, fence: int = 1, **changes: object) -> Context:
    return attempt(scene.home, "load", scene.load_params(scene.staged(), replace=True), fence, **changes)


def refused(scene: Scene, fence: int = 1, **changes: object) -> StepFailure:
    """The failure of a load, which must have left nothing at the destination."""
    before = scene.place.seen()
    with pytest.raises(StepFailure) as caught:
        run("load", loading(scene, fence, **changes))
    assert scene.place.seen() == before
    assert not [name for name in scene.place.left_over() if not name.endswith("_pkey")]
    assert "destination datastore 'elephant'" in caught.value.message
    assert "nothing was swapped" in caught.value.message
    return caught.value


@contextmanager
def altered(server: PostgresServer, change: str, back: str) -> Iterator[None]:
    with server.connect(SHARED) as admin:
        admin.execute(change.encode())
        try:
            yield
        finally:
            admin.execute(back.encode())


def no_rows(watermark: int, total: int = 0, done_bytes: int = 0, stage: str = "") -> None:
    """Progress of a load that must not have come as far as staging."""
    assert not watermark, stage


def test_a_database_that_is_frozen_is_not_thawed(scene: Scene, postgres_server: PostgresServer) -> None:
    role = f"ALTER ROLE {postgres_server.role} IN DATABASE {SHARED}"
    with altered(postgres_server, f"{role} SET default_transaction_read_only = on", f"{role} RESET ALL"):
        failure = refused(scene, progress=no_rows)
    assert (failure.code, failure.retryable) == ("read_only", False)
    assert "default_transaction_read_only" in failure.message
    assert "SET default_transaction_read_only = off" in failure.hint
    run("load", loading(scene, 2))


def test_a_server_that_is_full_is_asked_again(scene: Scene, postgres_server: PostgresServer) -> None:
    role = f"ALTER ROLE {postgres_server.role} CONNECTION LIMIT"
    with altered(postgres_server, f"{role} 0", f"{role} -1"), pytest.raises(StepFailure) as caught:
        run("load", loading(scene))
    assert (caught.value.code, caught.value.unreachable) == ("too_many_connections", True)
    assert "max_connections" in caught.value.hint


def test_a_statement_that_somebody_cancels_is_tried_again(scene: Scene, postgres_server: PostgresServer) -> None:
    def progress(watermark: int, total: int = 0, done_bytes: int = 0, stage: str = "") -> None:
        if watermark and stage == "staging":
            with postgres_server.connect(SHARED) as admin:
                admin.execute(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                    (f"haulier/{ctx.attempt_id}",),
                )

    ctx = loading(scene, progress=progress)
    with pytest.raises(StepFailure) as caught:
        run("load", ctx)
    assert (caught.value.code, caught.value.retryable) == ("cancelled_by_server", True)
    assert "pg_cancel_backend" in caught.value.hint


def mended(scene: Scene, server: PostgresServer, failure: StepFailure) -> None:
    """Do what the hint says, as somebody who may."""
    statement = re.findall(r"((?:GRANT|ALTER|CREATE) .*?);", failure.hint)[0]
    with server.connect(SHARED) as admin:
        admin.execute(statement.encode())
    run("load", loading(scene, 9))


@pytest.mark.parametrize("right", ["CREATE", "USAGE"])
def test_rights_on_the_schema_are_asked_first(scene: Scene, postgres_server: PostgresServer, right: str) -> None:
    with postgres_server.connect(SHARED) as admin:
        schema = schema_of(scene)
        admin.execute(f"ALTER SCHEMA {schema} OWNER TO postgres".encode())
        for each in {"CREATE", "USAGE"} - {right}:
            admin.execute(f"GRANT {each} ON SCHEMA {schema} TO {postgres_server.role}".encode())
    with pytest.raises(StepFailure) as caught:
        run("load", loading(scene, progress=no_rows))
    assert caught.value.code == "permission_denied"
    assert f"role 'mover' lacks {right} on schema '{schema}'" in caught.value.message
    mended(scene, postgres_server, caught.value)


def test_a_schema_that_is_missing_is_asked_first(scene: Scene, postgres_server: PostgresServer) -> None:
    scene.place.datastore.postgresql.schema = "not_yet"
    failure = refused(scene, progress=no_rows)
    assert (failure.code, "'not_yet'" in failure.message) == ("not_found", True)
    mended(scene, postgres_server, failure)
    with postgres_server.connect(SHARED) as admin:
        admin.execute("DROP SCHEMA not_yet CASCADE")


def test_ownership_of_what_gives_way_is_asked_first(scene: Scene, postgres_server: PostgresServer) -> None:
    with postgres_server.connect(SHARED) as admin:
        admin.execute(f"CREATE TABLE {schema_of(scene)}.things (note text)".encode())
        admin.execute(f"GRANT ALL ON {schema_of(scene)}.things TO {postgres_server.role}".encode())
    failure = refused(scene, progress=no_rows)
    assert failure.code == "permission_denied"
    assert "does not own 'things', which 'postgres' does" in failure.message
    mended(scene, postgres_server, failure)


def test_haulers_own_tables_of_another_role_are_asked_first(scene: Scene, postgres_server: PostgresServer) -> None:
    run("load", loading(scene))
    before = scene.place.seen()
    with postgres_server.connect(SHARED) as admin:
        admin.execute(f"ALTER TABLE {schema_of(scene)}.haulier_fence OWNER TO {GUARDED}".encode())
    failure = refused(scene, 2, progress=no_rows)
    assert "may not write Haulier's own table" in failure.message
    assert scene.place.seen() == before
    mended(scene, postgres_server, failure)
