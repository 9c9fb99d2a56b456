"""The fence inside a database, without any eviction: an overtaken writer is refused by the data's own transaction."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import duckdb
import psycopg
import pyarrow as pa
import pytest

from agentd.datastores.duckdb.datastore import DuckdbSession
from agentd.datastores.fences import ledger
from agentd.datastores.fences.as_published import Content
from agentd.datastores.fences.sql_session import SqlSession
from agentd.datastores.port.datastore import Input, Location, Undo, Writer
from agentd.datastores.port.failures import Fenced, StepFailure
from agentd.datastores.postgresql.place import PostgresqlPlace
from agentd.datastores.postgresql.session import PostgresqlSession
from agentd.datastores.sqlite.datastore import SqliteDatastore
from agentd.datastores.sqlite.place import SqlitePlace
from agentd.proof.digests import digest_of
from agentd.proof.types import Column, ColumnType, arrow_schema
from tests.kit import postgres

postgres_server = postgres.postgres_server

WHERE = Location("things", "things")
COLUMNS = (Column("a", ColumnType.INT64),)
Sessions = tuple[SqlSession, SqlSession]


def writer(fence: int, attempt: str = "", migration: str = "mig_1") -> Writer:
    return Writer("there", fence, attempt or f"att_{fence}", migration)


def batch(values: list[int]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(values, pa.int64())], schema=arrow_schema(COLUMNS))


def source(value: int, *, replace: bool = False) -> Input:
    """The input that holds this value in its one row."""
    return Input(digest_of([batch([value])], COLUMNS).value(), COLUMNS, replace)


def reader(session: SqlSession) -> Content:
    """What a datastore gives the ledger to read its tables again."""
    return lambda table, _: iter([batch([row[0] for row in session.rows(f"SELECT a FROM {session.named(table)}")])])


def withdraw(session: SqlSession, who: Writer) -> None:
    ledger.withdraw(session, WHERE, who, Undo(COLUMNS), reader(session))


@pytest.fixture(params=["sqlite", "duckdb", "postgresql"])
def sessions(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sessions]:
    """Two sessions on one fresh database: two writers who know nothing of each other."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            store = SqliteDatastore(SqlitePlace("lite", tmp_path / "x.db"))
            who = writer(1)
            yield (stack.enter_context(store.session_to_write(who)), stack.enter_context(store.session_to_write(who)))
        elif request.param == "duckdb":
            connection = stack.enter_context(duckdb.connect(str(tmp_path / "x.duckdb")))
            yield (DuckdbSession(connection), DuckdbSession(stack.enter_context(connection.cursor())))
        else:
            server: postgres.PostgresServer = request.getfixturevalue("postgres_server")
            name = server.create_database()
            place = PostgresqlPlace("pg", str(server.socket), server.port, name, server.role)
            yield (
                PostgresqlSession(stack.enter_context(server.connect(name, server.role)), place),
                PostgresqlSession(stack.enter_context(server.connect(name, server.role)), place),
            )


def stage(session: SqlSession, who: Writer, value: int) -> str:
    staging = ledger.short_name("staging", who.attempt_id)
    ledger.claim(session, who, staging)
    session.drop(staging)
    session.run(f"CREATE TABLE {session.named(staging)} (a BIGINT)")
    session.run(f"INSERT INTO {session.named(staging)} VALUES (?)", (value,))
    return staging


def publish(session: SqlSession, who: Writer, value: int, *, replace: bool = False) -> None:
    found = source(value, replace=replace)
    ledger.publish(session, WHERE, who, found, stage(session, who, value), 1, reader(session))


def content(session: SqlSession) -> list[int] | None:
    if not session.exists("things"):
        return None
    return [row[0] for row in session.rows(f"SELECT a FROM {session.named('things')}")]


def test_a_claim_in_between_refuses_the_publish(sessions: Sessions) -> None:
    one, two = sessions
    old = writer(1)
    staging = stage(one, old, 1)
    ledger.claim(two, writer(2))
    with pytest.raises(Fenced, match="fence 2 of att_2"):
        ledger.publish(one, WHERE, old, source(1), staging, 1, reader(one))
    assert content(one) is None
    # The overtaken attempt's staging was dropped by who overtook it.
    assert not two.exists(staging)


def test_a_finished_successor_refuses_everything_of_the_old(sessions: Sessions) -> None:
    one, two = sessions
    staging = stage(one, writer(1), 1)
    publish(two, writer(2), 2)
    with pytest.raises(Fenced):
        ledger.publish(one, WHERE, writer(1), source(1), staging, 1, reader(one))
    refusals: list[Callable[[], object]] = [
        lambda: ledger.claim(one, writer(1)),
        lambda: ledger.require_not_stale(one, writer(1)),
        lambda: ledger.claim(one, writer(2, "att_other")),
        lambda: withdraw(one, writer(1)),
        lambda: ledger.adopt(one, WHERE, writer(1), source(1)),
    ]
    for refused in refusals:
        with pytest.raises(Fenced):
            refused()
    assert content(one) == [2]


def test_a_failure_inside_the_publish_leaves_nothing(sessions: Sessions) -> None:
    one, _ = sessions
    publish(one, writer(1), 1)
    before = ledger.read_record(one, "there")

    class Lost(Exception):
        pass

    def lose(point: str) -> None:
        if point == "publish_open":
            raise Lost

    who = Writer("there", 2, "att_2", "mig_1", reach=lose)
    with pytest.raises(Lost):
        publish(one, who, 2)
    assert content(one) == [1]
    after = ledger.read_record(one, "there")
    assert before is not None
    assert after is not None
    assert (after.fence, after.published_fence) == (2, 1)
    publish(one, writer(3), 3)
    assert content(one) == [3]


def test_only_the_same_input_of_the_same_migration_is_adopted(sessions: Sessions) -> None:
    one, _ = sessions
    publish(one, writer(1), 1)
    for fence, migration, value in ((2, "mig_2", 1), (3, "mig_1", 2)):
        ledger.claim(one, writer(fence, migration=migration))
        assert ledger.adopt(one, WHERE, writer(fence, migration=migration), source(value)) is None
    ledger.claim(one, writer(4))
    adopted = ledger.adopt(one, WHERE, writer(4), source(1))
    assert adopted is not None
    assert (adopted.rows, adopted.fence, adopted.already) == (1, 4, True)
    one.drop("things")
    ledger.claim(one, writer(5))
    assert ledger.adopt(one, WHERE, writer(5), source(1)) is None


def test_undo_goes_back_one_migration_at_a_time(sessions: Sessions) -> None:
    one, _ = sessions
    one.run(f"CREATE TABLE {one.named('things')} (a BIGINT)")
    one.run(f"INSERT INTO {one.named('things')} VALUES (0)")
    with pytest.raises(StepFailure) as caught:
        publish(one, writer(1), 1)
    assert caught.value.code == "object_exists"
    publish(one, writer(2), 1, replace=True)
    publish(one, writer(3, migration="mig_2"), 2)
    ledger.claim(one, writer(4))
    with pytest.raises(StepFailure) as caught:
        withdraw(one, writer(4))
    assert caught.value.code == "published_over"
    for fence, migration, seen in ((5, "mig_2", [1]), (6, "mig_1", [0]), (7, "mig_1", [0])):
        ledger.claim(one, writer(fence, migration=migration))
        withdraw(one, writer(fence, migration=migration))
        assert content(one) == seen
    publish(one, writer(8), 8, replace=True)
    assert content(one) == [8]


def test_names_of_our_own_fit_everywhere() -> None:
    assert ledger.short_name("staging", "att_12ab") == "haulier_staging_att_12ab"
    for parts in (("x" * 80,), ("a", "b"), ("Ünï",), ("ATT",)):
        name = ledger.short_name("kept", *parts)
        assert name.startswith("haulier_kept_")
        assert len(name) <= 63
    assert ledger.short_name("kept", "a", "bc") != ledger.short_name("kept", "ab", "c")


def test_two_claims_at_once_cannot_both_win(postgres_server: postgres.PostgresServer) -> None:
    """PostgreSQL alone has two writers in open transactions; the row's lock makes the second wait and lose."""
    name = postgres_server.create_database()
    place = PostgresqlPlace("pg", str(postgres_server.socket), postgres_server.port, name, postgres_server.role)
    with (
        postgres_server.connect(name, postgres_server.role) as one,
        postgres_server.connect(name, postgres_server.role) as two,
    ):
        first, second = PostgresqlSession(one, place), PostgresqlSession(two, place)
        ledger.claim(first, writer(1))
        two.execute("SET lock_timeout = '300ms'")
        with first.transaction():
            first.run(f"UPDATE {first.named(ledger.FENCE)} SET fence = 9 WHERE target = 'there'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                ledger.claim(second, writer(5))
        with pytest.raises(Fenced):
            ledger.claim(second, writer(5))


def test_the_first_writers_of_a_database_do_not_collide(postgres_server: postgres.PostgresServer) -> None:
    """CREATE TABLE IF NOT EXISTS alone fails in the catalogue when two come at once."""
    name = postgres_server.create_database()
    writers = 4

    def claim(number: int, schema: str, together: threading.Barrier) -> None:
        place = PostgresqlPlace("pg", str(postgres_server.socket), postgres_server.port, name, "mover", schema=schema)
        with postgres_server.connect(name, postgres_server.role) as connection:
            together.wait(30)
            ledger.claim(PostgresqlSession(connection, place), Writer(f"target {number}", 1, f"att_{number}", "mig_1"))

    with postgres_server.connect(name) as admin, ThreadPoolExecutor(writers) as pool:
        for schema in [f"s{n}" for n in range(10)]:
            admin.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {postgres_server.role}".encode())
            barrier = threading.Barrier(writers)
            list(pool.map(claim, range(writers), [schema] * writers, [barrier] * writers))


def test_who_was_published_over_cannot_publish_again_beneath(sessions: Sessions) -> None:
    """It would take the newer migration's output for what was there before, and forget what really was."""
    one, _ = sessions
    publish(one, writer(1), 1)
    publish(one, writer(2, migration="mig_2"), 2)
    with pytest.raises(StepFailure) as caught:
        publish(one, writer(3), 3)
    assert caught.value.code == "published_over"
    assert content(one) == [2]


def test_another_target_on_the_same_object_is_asked_for(sessions: Sessions) -> None:
    one, _ = sessions
    publish(one, writer(5), 1)
    other = Writer("elsewhere", 1, "att_other", "mig_2")
    with pytest.raises(StepFailure) as caught:
        publish(one, other, 2)
    assert caught.value.code == "object_exists"
    publish(one, other, 2, replace=True)
    with pytest.raises(StepFailure):
        withdraw(one, writer(5))
    ledger.claim(one, other)
    withdraw(one, other)
    assert content(one) == [1]
