"""Proposals of columns: what is proposed is exactly what an extract accepts, and nothing is lost by it."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlite_utils import Database

from agentd.datastores.files.csv import CsvDatastore
from agentd.datastores.files.places import CsvPlace
from agentd.datastores.inspection.inspecting import inspect, proposals
from agentd.datastores.port.datastore import Location
from agentd.datastores.port.failures import StepFailure
from tests.kit import postgres

postgres_server = postgres.postgres_server


def types(where: str, table: str = "") -> dict[str, str]:
    (found,) = proposals(where, table)
    return {c.name: c.spelled() + (" required" if c.required else "") for c in found.columns}


@pytest.mark.parametrize(
    ("values", "proposed"),
    [
        (["1", "-2", "0"], "int64 required"),
        (["1", ""], "int64"),
        (["01234", "99999"], "text required"),
        (["+1", "2"], "text required"),
        (["-0", "1"], "float64 required"),
        (["9223372036854775808"], "decimal(19,0) required"),
        (["1.50", "-12.345"], "decimal(18,3) required"),
        (["1.5", "2"], "decimal(18,1) required"),
        (["0.1234567890123456789012345678901234567"], "decimal(38,37) required"),
        (["1" * 39], "text required"),
        (["1e5", "2.5"], "float64 required"),
        (["1.2345678901234567890e5"], "text required"),
        (["true", "False"], "bool required"),
        (["yes", "no"], "text required"),
        (["2013-01-31"], "date required"),
        (["2013-02-31"], "text required"),
        (["20130131"], "int64 required"),
        (["2013-01-01 00:00:00", "2013-01-01T10:00"], "timestamp required"),
        (["2013-01-01T00:00:00Z", "2013-01-01 00:00:00+02"], "timestamptz required"),
        (["2013-01-01 00:00:00.1234567"], "text required"),
        (["\\x00ff", "\\x"], "bytes required"),
        (["", ""], "text"),
        ([" 1"], "text required"),
    ],
)
def test_csv_values(tmp_path: Path, values: list[str], proposed: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text("key,value\n" + "".join(f"k,{v}\n" for v in values))
    assert types(str(path)) == {"key": "text required", "value": proposed}
    (found,) = proposals(str(path))
    store = CsvDatastore(CsvPlace("files", tmp_path))
    assert sum(b.num_rows for b in store.read(Location("d", "x.csv"), found.columns)) == len(values)


def test_a_text_that_stands_for_null_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("n\td\tw\n1\tNA\tNA\nNA\t1.5\tx\n")
    (found,) = proposals(str(path))
    assert [c.spelled() for c in found.columns] == ["int64", "decimal(18,1)", "text"]
    assert found.options == {"delimiter": "\t", "nullText": "NA"}
    assert 'delimiter: "\\t"\nnullText: "NA"\n' in inspect(str(path)).text


def test_yaml_is_ready_to_paste(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('id,"odd ""name"""\n1,\n')
    assert inspect(str(path)).text == (
        '# 1 rows read\nobject: "x.csv"\ncolumns:\n  - {name: "id", type: "int64", required: true}\n'
        '  - {name: "odd \\"name\\"", type: "text"}\n'
    )


def test_a_header_alone_proposes_text(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("a,b\n")
    assert types(str(tmp_path / "x.csv")) == {"a": "text", "b": "text"}


@pytest.mark.parametrize("rows", ["1\n", ""])
def test_partition_directories_are_proposed_as_columns(tmp_path: Path, rows: str) -> None:
    for day in ("2024-01-31", "2024-02-01"):
        part = tmp_path / "sales" / f"day={day}" / "a.csv"
        part.parent.mkdir(parents=True)
        part.write_text(f"id\n{rows}")
    (found,) = proposals(str(tmp_path / "sales"))
    kinds = {column.name: column.spelled() for column in found.columns}
    assert kinds == ({"id": "int64", "day": "date"} if rows else {"id": "text", "day": "text"})


def test_sqlite_values_decide_and_declarations_help(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    database = Database(path)
    database.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, price DECIMAL(10,2), ratio REAL, day DATE, at DATETIME, flag BOOLEAN, "
        "code TEXT, raw BLOB, big REAL, empty INT)"
    )
    database.execute(
        "INSERT INTO t VALUES (1, '1.10', 2.5, '2020-01-01', '2020-01-01 10:00:00', 1, '007', x'00', 3, NULL), "
        "(2, 2, 3, '2020-01-02', '2020-01-01 10:00:00', 0, '1', x'', 1e300, NULL)"
    )
    database.conn.commit()
    database.close()
    (found,) = proposals(str(path))
    assert found.key == ("id",)
    assert types(str(path)) == {
        "id": "int64 required",
        "price": "decimal(18,1) required",
        "ratio": "float64 required",
        "day": "date required",
        "at": "timestamp required",
        "flag": "bool required",
        "code": "text required",
        "raw": "bytes required",
        "big": "float64 required",
        "empty": "int64",
    }


def test_sqlite_columns_of_two_kinds_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    database = Database(path)
    database.execute("CREATE TABLE t (a, b)")
    database.execute("INSERT INTO t VALUES (1, 'x'), ('one', 'y')")
    database.conn.commit()
    database.close()
    (found,) = proposals(str(path), "t")
    assert found.refused == ("column 'a' holds integer and text; cast it to one of them in a view",)
    assert [c.name for c in found.columns] == ["b"]
    with pytest.raises(StepFailure, match="'u'"):
        list(proposals(str(path), "u"))


def test_files_are_known_by_their_content(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([1], pa.int32())}), tmp_path / "x.bin")
    assert types(str(tmp_path / "x.bin")) == {"a": "int64"}
    with duckdb.connect(str(tmp_path / "y.bin")) as connection:
        connection.execute("CREATE TABLE t (a DECIMAL(5,1) NOT NULL)")
        connection.execute("CREATE TABLE u (a HUGEINT)")
    assert types(str(tmp_path / "y.bin"), "t") == {"a": "decimal(5,1) required"}
    assert "HUGEINT" in inspect(f"{tmp_path / 'y.bin'}#u").text


def test_postgresql_tables(postgres_server: postgres.PostgresServer) -> None:
    name = postgres_server.create_database()
    with postgres_server.connect(name, postgres_server.role) as connection:
        connection.execute("CREATE TABLE t (id bigint PRIMARY KEY, price numeric(10,2), odd jsonb)")
        connection.execute("CREATE TABLE u (at timestamptz)")
    url = f"postgresql://{postgres_server.role}@/{name}?host={postgres_server.socket}&port={postgres_server.port}"
    assert types(url, "u") == {"at": "timestamptz"}
    text = inspect(url).text
    assert "jsonb" in text
    assert 'object: "u"' in text


def test_a_password_in_a_url_is_refused() -> None:
    with pytest.raises(StepFailure) as caught:
        inspect("postgresql://me:hunter2@localhost/db")
    assert "hunter2" not in str(caught.value)
