"""What an engine cannot hold, or a source does not really have, is refused by name before anything is published."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from haulier.v1 import kinds_pb2 as k
from sqlite_utils import Database

from agentd.datastores.port.failures import StepFailure
from agentd.executors.extract import Extract
from agentd.executors.load import Load
from agentd.executors.translate import column_message, opened
from agentd.proof.types import Column, ColumnType, arrow_type
from tests.contract.executors.attempts import attempt
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import ENGINES, DuckdbPlace, FilePlace, PostgresqlPlace, SqlitePlace
from tests.kit.postgres import GUARDED, GUARDED_PASSWORD

T = ColumnType


def load_of(scene: Scene, column: Column, values: list[object]) -> StepFailure:
    """The failure of loading one column of these values."""
    rows = pa.RecordBatch.from_arrays([pa.array(values, arrow_type(column))], names=[column.name])
    params = k.LoadParams(input=scene.staged([rows], (column,)), destination=scene.destination(()))
    with pytest.raises(StepFailure) as caught:
        Load().run(attempt(scene.home, "load", params, 1))
    assert scene.place.seen() is None
    return caught.value


def extract_of(scene: Scene, found: list[Column]) -> StepFailure:
    """The failure of extracting the place's object as these columns."""
    source = scene.destination(())
    source.columns.extend(column_message(c) for c in found)
    params = k.ExtractParams(source=source, staging=scene.staging)
    with pytest.raises(StepFailure) as caught:
        Extract().run(attempt(scene.home, "extract", params, 1))
    return caught.value


@pytest.mark.parametrize(("value", "said"), [(float("nan"), "NaN as NULL"), (-0.0, "-0.0 as 0.0")])
def test_sqlite_cannot_hold(make_scene: MakeScene, value: float, said: str) -> None:
    failure = load_of(make_scene("sqlite"), Column("ratio", T.FLOAT64), [1.0, None, value])
    assert failure.code == "value_does_not_fit"
    assert "row 3, column 'ratio'" in failure.message
    assert said in failure.message


def test_postgresql_cannot_hold_nul(make_scene: MakeScene) -> None:
    failure = load_of(make_scene("postgresql"), Column("word", T.TEXT), ["a", "b\0c"])
    assert "row 2, column 'word'" in failure.message
    assert "NUL" in failure.message


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
def test_a_key_that_is_not_unique_is_refused(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    rows = pa.RecordBatch.from_arrays([pa.array(["a", "a"])], names=["word"])
    params = k.LoadParams(
        input=scene.staged([rows], (Column("word", T.TEXT),)), destination=scene.destination(("word",))
    )
    with pytest.raises(StepFailure) as caught:
        Load().run(attempt(scene.home, "load", params, 1))
    assert caught.value.code == "key_not_unique"


CSV_MISFITS = [
    (T.INT64, "twelve", "a value of the shape aaaaaa"),
    (T.INT64, "1.0", "a value of the shape 9.9"),
    (T.INT64, "0x10", "a value of the shape 9a99"),
    (T.INT64, "9223372036854775808", ""),
    (T.INT64, " 1", ""),
    (T.BOOL, "yes", "'yes'"),
    (T.FLOAT64, "1e999", "a value of the shape 9a999"),
    (T.FLOAT64, "one", ""),
    (T.DECIMAL, "1.234", "a value of the shape 9.999"),
    (T.DECIMAL, "123.4", ""),
    (T.DECIMAL, "NaN", ""),
    (T.DATE, "2013-02-30", ""),
    (T.DATE, "01/02/2013", ""),
    (T.TIMESTAMP, "2013-01-01T00:00:00Z", ""),
    (T.TIMESTAMP, "2013-01-01 00:00:00.1234567", ""),
    (T.TIMESTAMPTZ, "2013-01-01 00:00:00", ""),
    (T.BYTES, "deadbeef", ""),
    (T.BYTES, "\\xabc", ""),
]


@pytest.mark.parametrize(("kind", "text", "shape"), CSV_MISFITS)
def test_a_csv_value_that_does_not_fit_is_named(make_scene: MakeScene, kind: ColumnType, text: str, shape: str) -> None:
    scene = make_scene("csv")
    assert isinstance(scene.place, FilePlace)
    # The first record spans two lines, so that lines and records differ.
    scene.place.path.write_text(f'note,value\n"two\nlines",\nx,\ny,{text}\nz,\n')
    digits = (4, 2) if kind is T.DECIMAL else (0, 0)
    failure = extract_of(scene, [Column("note", T.TEXT), Column("value", kind, *digits)])
    assert failure.code == "value_does_not_fit"
    assert "things.csv, line 5, column 'value'" in failure.message
    assert shape in failure.message


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'note,value\nx,"1\n', "quote is never closed"),
        (b"note,value\nx,1,2\n", "record 2, the header being 1, has not 2 fields but 3"),
        (b"note,value\nx\n", "record 2, the header being 1, has not 2 fields but 1"),
        (b"", "lacks declared column 'note'"),
        (b"note,value,more\n", "undeclared column 'more'"),
        (b"note,note\n", "'note' twice"),
        (b"note,value\n\xff,1\n", "column 'note': a value of 1 bytes that are not UTF-8"),
    ],
)
def test_a_broken_csv_file_is_refused(make_scene: MakeScene, data: bytes, said: str) -> None:
    scene = make_scene("csv")
    assert isinstance(scene.place, FilePlace)
    scene.place.path.write_bytes(data)
    failure = extract_of(scene, [Column("note", T.TEXT), Column("value", T.TEXT)])
    assert said in failure.message


def test_null_in_a_required_column_is_named(make_scene: MakeScene) -> None:
    scene = make_scene("csv")
    assert isinstance(scene.place, FilePlace)
    scene.place.path.write_text("note\na\n\n")
    failure = extract_of(scene, [Column("note", T.TEXT, required=True)])
    assert "line 3, column 'note' is NULL but declared required" in failure.message


def test_csv_columns_must_be_declared(make_scene: MakeScene) -> None:
    scene = make_scene("csv")
    scene.place.put_earlier()
    assert extract_of(scene, []).code == "columns_not_declared"


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (T.INT64, "twelve", "rowid 2, column 'value': a value of the shape aaaaaa does not fit int64"),
        (T.INT64, 1.5, "rowid 2, column 'value': a value of the type float does not fit int64"),
        (T.BOOL, 2, "rowid 2"),
        (T.TEXT, b"raw", "rowid 2"),
        (T.FLOAT64, 2**53 + 1, "rowid 2"),
        (T.DECIMAL, 0.1 + 0.2, "rowid 2"),
        (T.DATE, "yesterday", "rowid 2"),
    ],
)
def test_a_sqlite_value_that_does_not_fit_is_named(
    make_scene: MakeScene, kind: ColumnType, value: object, said: str
) -> None:
    scene = make_scene("sqlite")
    assert isinstance(scene.place, SqlitePlace)
    database = Database(scene.place.path)
    database.execute("CREATE TABLE things (value)")
    database.execute("INSERT INTO things VALUES (NULL), (?)", (value,))
    database.conn.commit()
    database.close()
    digits = (4, 2) if kind is T.DECIMAL else (0, 0)
    failure = extract_of(scene, [Column("value", kind, *digits)])
    assert failure.code == "value_does_not_fit"
    assert said in failure.message


def test_decimals_that_sqlite_keeps_as_floats_are_read(make_scene: MakeScene) -> None:
    scene = make_scene("sqlite")
    assert isinstance(scene.place, SqlitePlace)
    database = Database(scene.place.path)
    database.execute("CREATE TABLE things (value DECIMAL(6,2))")
    database.execute("INSERT INTO things VALUES ('1.10'), (2), ('3.25'), (NULL), (1234.5)")
    database.conn.commit()
    database.close()
    source = scene.destination(())
    source.columns.append(column_message(Column("value", T.DECIMAL, 6, 2)))
    ctx = attempt(scene.home, "extract", k.ExtractParams(source=source, staging=scene.staging), 1)
    output = k.ExtractResult.FromString(Extract().run(ctx)).output
    part = Path(scene.staging.parquet.root) / output.directory / output.parts[0].file
    assert [str(v) for v in pq.read_table(part).column("value").to_pylist()] == [
        "1.10",
        "2.00",
        "3.25",
        "None",
        "1234.50",
    ]


POSTGRESQL_TYPES = ["uuid", "jsonb", "interval", "time", "text[]", "inet", "numeric", "numeric(50,2)", "character(5)"]


@pytest.mark.parametrize("kind", POSTGRESQL_TYPES)
def test_a_postgresql_type_is_refused_by_name(make_scene: MakeScene, kind: str) -> None:
    scene = make_scene("postgresql")
    assert isinstance(scene.place, PostgresqlPlace)
    with scene.place.connect() as connection:
        connection.execute(f"CREATE TABLE things (id bigint, odd {kind})".encode())
    failure = extract_of(scene, [])
    assert failure.code == "unsupported_type"
    assert "column 'odd'" in failure.message
    assert kind.split("(")[0].replace("text[]", "text") in failure.message


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("date", "infinity"),
        ("date", "0044-03-15 BC"),
        ("timestamp", "-infinity"),
        ("timestamptz", "infinity"),
        ("timestamp", "10000-01-01"),
        ("numeric(10,2)", "NaN"),
    ],
)
def test_a_postgresql_value_is_refused_by_name(make_scene: MakeScene, kind: str, value: str) -> None:
    scene = make_scene("postgresql")
    assert isinstance(scene.place, PostgresqlPlace)
    with scene.place.connect() as connection:
        connection.execute(f"CREATE TABLE things (id bigint, odd {kind})".encode())
        connection.execute("INSERT INTO things VALUES (1, NULL), (2, %s)", (value,))
    failure = extract_of(scene, [])
    assert failure.code == "value_does_not_fit"
    assert "row 2 as read, column 'odd'" in failure.message
    assert value in failure.message or not value.strip("-").isalpha()
    assert "0044" not in failure.message + failure.hint


@pytest.mark.parametrize("kind", ["HUGEINT", "UUID", "TIME", "INTEGER[]", "UBIGINT", "INTERVAL"])
def test_a_duckdb_type_is_refused_by_name(make_scene: MakeScene, kind: str) -> None:
    scene = make_scene("duckdb")
    assert isinstance(scene.place, DuckdbPlace)
    with duckdb.connect(str(scene.place.path)) as connection:
        connection.execute(f"CREATE TABLE things (id BIGINT, odd {kind})")
    failure = extract_of(scene, [])
    assert failure.code == "unsupported_type"
    assert f"column 'odd' has DuckDB type {kind}" in failure.message


@pytest.mark.parametrize("kind", ["DATE", "TIMESTAMP", "TIMESTAMPTZ"])
def test_an_infinite_duckdb_value_is_refused(make_scene: MakeScene, kind: str) -> None:
    scene = make_scene("duckdb")
    assert isinstance(scene.place, DuckdbPlace)
    with duckdb.connect(str(scene.place.path)) as connection:
        connection.execute(f"CREATE TABLE things AS SELECT 'infinity'::{kind} AS odd")
    assert "row 1, column 'odd': an infinite" in extract_of(scene, []).message


def test_a_parquet_value_finer_than_microseconds_is_refused(make_scene: MakeScene) -> None:
    scene = make_scene("parquet")
    assert isinstance(scene.place, FilePlace)
    pq.write_table(pa.table({"at": pa.array([1000, 1001], pa.timestamp("ns"))}), scene.place.path)
    assert "row 2, column 'at'" in extract_of(scene, []).message


def test_a_file_that_is_not_parquet_is_refused(make_scene: MakeScene) -> None:
    scene = make_scene("parquet")
    assert isinstance(scene.place, FilePlace)
    scene.place.path.write_bytes(b"PAR1 but no more")
    assert extract_of(scene, []).code == "corrupt_file"


def test_views_that_would_read_old_rows_stop_a_replace(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    assert isinstance(scene.place, PostgresqlPlace)
    scene.place.put_earlier()
    with scene.place.connect() as connection:
        connection.execute("CREATE VIEW report AS SELECT note FROM things")
    with pytest.raises(StepFailure) as caught:
        Load().run(attempt(scene.home, "load", scene.load_params(scene.staged(), replace=True), 1))
    assert caught.value.code == "would_lose"
    assert "report" in caught.value.message


def test_grants_outlive_a_replace(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    assert isinstance(scene.place, PostgresqlPlace)
    scene.place.put_earlier()
    Load().run(attempt(scene.home, "load", scene.load_params(scene.staged(), replace=True), 1))
    with scene.place.connect("postgres") as connection:
        connection.execute("CREATE ROLE reader_of_things")
        found = connection.execute("SELECT has_table_privilege('reader_of_things', 'things', 'SELECT')").fetchall()
        connection.execute("DROP ROLE reader_of_things")
    assert found == [(True,)]


def test_a_powerful_role_is_refused(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    scene.place.datastore.postgresql.user = "postgres"
    with pytest.raises(StepFailure) as caught:
        opened(attempt(scene.home, "load", k.LoadParams(), 1), scene.place.datastore).check()
    assert caught.value.code == "role_too_powerful"


def test_an_unreachable_server_is_named_without_its_password(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    scene.place.datastore.postgresql.port = 1
    scene.place.datastore.postgresql.password_ref = "env:SECRET"
    ctx = attempt(
        scene.home, "load", k.LoadParams(), 1, datastore_secret=lambda store: f"hunter2-{store.postgresql.password_ref}"
    )
    with pytest.raises(StepFailure) as caught:
        opened(ctx, scene.place.datastore).check()
    assert (caught.value.code, caught.value.retryable) == ("unreachable", True)
    assert "hunter2" not in repr(caught.value) + str(caught.value)
    assert "elephant" in caught.value.message


@pytest.mark.parametrize("password", ["hunter2-wrong", ""])
def test_a_wrong_password_is_named_and_not_shown(make_scene: MakeScene, password: str) -> None:
    scene = make_scene("postgresql")
    scene.place.datastore.postgresql.user = GUARDED
    scene.place.datastore.postgresql.password_ref = "env:SECRET"
    ctx = attempt(scene.home, "load", k.LoadParams(), 1, datastore_secret=lambda store: password)
    with pytest.raises(StepFailure) as caught:
        opened(ctx, scene.place.datastore).check()
    assert (caught.value.code, caught.value.retryable) == ("authentication_failed", False)
    assert "hunter2" not in repr(caught.value) + str(caught.value)
    right = attempt(scene.home, "load", k.LoadParams(), 1, datastore_secret=lambda store: GUARDED_PASSWORD)
    opened(right, scene.place.datastore).check()


@pytest.mark.parametrize("engine", ENGINES)
def test_every_place_can_be_checked(make_scene: MakeScene, engine: str) -> None:
    scene = make_scene(engine)
    store = opened(attempt(scene.home, "load", k.LoadParams(), 1), scene.place.datastore)
    store.check()
    scene.place.put_earlier()
    store.check()
    assert store.objects() == [scene.place.object]
