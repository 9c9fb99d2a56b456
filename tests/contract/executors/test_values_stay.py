"""No failure quotes a value of a row, whichever library met it: what a value looks like is told, never the value."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from haulier.v1 import kinds_pb2 as k
from sqlite_utils import Database

from agentd.datastores.port.failures import StepFailure
from agentd.executors.translate import location, opened
from agentd.proof.types import Column, ColumnType
from tests.contract.executors.attempts import attempt, run
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import FilePlace, PostgresqlPlace, SqlitePlace

SECRET = "Zebra"
NUMBER = "7351924"
WORD = Column("word", ColumnType.TEXT)


def told(work: Callable[[], object]) -> str:
    """All that a failure says, none of it the secret."""
    with pytest.raises(StepFailure) as caught:
        work()
    said = f"{caught.value.code}: {caught.value.message} · {caught.value.hint}"
    assert SECRET not in said
    assert NUMBER not in said
    return said


def extract(scene: Scene, *columns: Column) -> Callable[[], object]:
    params = k.ExtractParams(source=scene.located(columns), staging=scene.staging)
    return lambda: run("extract", attempt(scene.home, "extract", params, 1))


def transform(scene: Scene, sql: str) -> Callable[[], object]:
    staged = scene.staged([pa.RecordBatch.from_pydict({"word": [SECRET, f"{SECRET}'s\n{NUMBER}"]})], (WORD,))
    params = k.TransformParams(input=staged, sql=sql, staging=scene.staging)
    return lambda: run("transform", attempt(scene.home, "transform", params, 1))


@pytest.mark.parametrize("rowid", [True, False])
def test_text_that_is_not_utf8_in_sqlite(make_scene: MakeScene, rowid: bool) -> None:
    scene = make_scene("sqlite")
    assert isinstance(scene.place, SqlitePlace)
    database = Database(scene.place.path)
    database.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, word TEXT)" + ("" if rowid else " WITHOUT ROWID"))
    database.execute("INSERT INTO things VALUES (1, 'plain'), (5, CAST(? AS TEXT))", (SECRET.encode() + b"\xff",))
    database.conn.commit()
    database.close()
    said = told(extract(scene, Column("id", ColumnType.INT64), WORD))
    where = "rowid 5" if rowid else "row 2"
    assert f"{where}, column 'word': a value of 6 bytes that are not UTF-8" in said
    store = opened(attempt(scene.home, "load", k.LoadParams(), 1), scene.place.datastore)
    where_from = location(scene.destination())
    assert "bad_sql" in told(lambda: store.query(where_from, (), "SELECT word FROM things", Path("/")))


def test_a_record_with_a_cell_too_many_in_a_csv_file(make_scene: MakeScene) -> None:
    scene = make_scene("csv")
    assert isinstance(scene.place, FilePlace)
    scene.place.path.write_text(f"word\nplain\n{SECRET},{NUMBER}\n")
    assert "has not 1 fields but 2" in told(extract(scene, WORD))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT CAST(word AS INTEGER) AS n FROM input",
        "SELECT CAST(word || 'x' AS DATE) AS n FROM input",
        "SELECT error(word) AS n FROM input",
        f"SELECT CAST({NUMBER} + length(word) AS TINYINT) AS n FROM input",
        "SELECT strptime(word, '%Y') AS n FROM input",
        f"SELECT {NUMBER}000000000000 * CAST(length(word) * 900000 AS BIGINT) AS n FROM input",
        "SELECT CAST(CAST('[' || word AS JSON) AS VARCHAR) AS n FROM input",
    ],
)
def test_a_select_that_meets_a_value_it_cannot_take(make_scene: MakeScene, sql: str) -> None:
    assert "bad_sql: the SQL failed while it ran" in told(transform(make_scene("parquet"), sql))


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
@pytest.mark.parametrize("apart", [True, False], ids=["in two batches", "in one batch"])
def test_a_key_that_is_there_twice(make_scene: MakeScene, engine: str, apart: bool) -> None:
    scene = make_scene(engine)
    number = pa.array([int(NUMBER)], pa.int64())
    one = pa.RecordBatch.from_arrays([pa.array([SECRET]), number], names=["word", "number"])
    columns = (WORD, Column("number", ColumnType.INT64))
    batches = [one, one] if apart else [pa.Table.from_batches([one, one]).combine_chunks().to_batches()[0]]
    key = ("word", "number")
    params = k.LoadParams(input=scene.staged(batches, columns), destination=scene.destination(key))
    said = told(lambda: run("load", attempt(scene.home, "load", params, 1)))
    assert "key_not_unique" in said
    assert "the declared key ('word', 'number') names more than one row" in said
    assert "for instance a value of the shape aaaaa and a value of the shape 9999999" in said


def test_a_query_that_meets_a_value_it_cannot_take(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    assert isinstance(scene.place, PostgresqlPlace)
    with scene.place.connect() as hand:
        hand.execute(f"CREATE TABLE things AS SELECT '{SECRET}' AS word".encode())
    store = opened(attempt(scene.home, "load", k.LoadParams(), 1), scene.place.datastore)
    where = location(scene.destination())
    for wanted in ("word::int", "word::date", "('[' || word)::json"):
        sql = f"SELECT {wanted} FROM things"
        assert "the SQL failed while it ran" in told(partial(store.query, where, (), sql, Path("/")))


def test_a_view_that_meets_a_value_it_cannot_take(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    assert isinstance(scene.place, PostgresqlPlace)
    with scene.place.connect() as hand:
        hand.execute(f"CREATE TABLE source AS SELECT '{SECRET}' AS word".encode())
        hand.execute("CREATE VIEW things AS SELECT word::int AS word FROM source")
    assert "the server refused a value" in told(extract(scene, Column("word", ColumnType.INT64)))


def test_a_duckdb_view_that_meets_a_value_it_cannot_take(make_scene: MakeScene) -> None:
    scene = make_scene("duckdb")
    with duckdb.connect(scene.place.datastore.duckdb.path) as connection:
        connection.execute(f"CREATE TABLE source AS SELECT '{SECRET}' AS word")
        connection.execute("CREATE VIEW things AS SELECT CAST(word AS BIGINT) AS word FROM source")
    assert "Could not convert" in told(extract(scene, Column("word", ColumnType.INT64)))
