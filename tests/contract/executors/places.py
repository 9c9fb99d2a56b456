"""One place per engine for the conformance suite: what a person would do there by hand, without Haulier.

Everything here goes around the product on purpose: earlier content, a value altered behind its back, and what consumers
see are made and read with the engines' own means.
"""

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import duckdb
import psycopg
import pyarrow.parquet as pq
from haulier.v1 import kinds_pb2 as k
from sqlite_utils import Database

from agentd.datastores import engines
from tests.kit.postgres import SHARED, PostgresServer

ENGINES = tuple(engines.ENGINES)


class Place(Protocol):
    """A place of one engine with one object."""

    engine: str
    object: str
    datastore: k.Datastore

    def put_earlier(self) -> None:
        """Put content there that is not Haulier's: one column `note`, one row `earlier`."""

    def seen(self) -> Any:
        """All of what a consumer sees there, comparable with ==; None where there is nothing."""

    def alter(self, column: str, value: str, where: str, equals: int) -> None:
        """Change one value of one row behind Haulier's back."""

    def left_over(self) -> list[str]:
        """Names of staged data that nobody will ever publish."""


@dataclass
class FilePlace:
    """CSV or Parquet files in a directory."""

    engine: str
    root: Path
    object: str
    datastore: k.Datastore

    @property
    def path(self) -> Path:
        return self.root / self.object

    def put_earlier(self) -> None:
        if self.engine == "csv":
            self.path.write_bytes(b"note\r\nearlier\r\n")
        else:
            duckdb.sql("SELECT 'earlier' AS note").write_parquet(str(self.path))

    def seen(self) -> Any:
        if not self.path.exists():
            return None
        if self.engine == "csv":
            return self.path.read_bytes()
        return sorted(map(repr, pq.read_table(self.path).to_pylist()))

    def alter(self, column: str, value: str, where: str, equals: int) -> None:
        kept = self.path.with_suffix(".new")
        if self.engine == "csv":
            kept.write_bytes(_csv_with(self.path.read_bytes().decode(), column, value, where, equals).encode())
        else:
            table = pq.read_table(self.path)
            cells = table.column(column).to_pylist()
            cells[table.column(where).to_pylist().index(equals)] = value
            at = table.schema.get_field_index(column)
            pq.write_table(table.set_column(at, table.schema.field(at), [cells]), kept)
        kept.replace(self.path)

    def left_over(self) -> list[str]:
        return [str(p) for p in self.root.rglob("*") if p.is_file() and p.suffix != ".json"]


def _csv_with(text: str, column: str, value: str, where: str, equals: int) -> str:
    """The same CSV text with one cell replaced; every other byte stays."""
    cells = re.findall(r'("(?:[^"]|"")*"|[^,"\n]*)([,\n])', text)
    width = next(i for i, (_, end) in enumerate(cells) if end == "\n") + 1
    names = [name.strip('"') for name, _ in cells[:width]]
    row = next(
        start
        for start in range(width, len(cells), width)
        if cells[start + names.index(where)][0].strip('"') == str(equals)
    )
    at = row + names.index(column)
    cells[at] = (f'"{value}"', cells[at][1])
    return "".join(cell + end for cell, end in cells)


@dataclass
class SqlitePlace:
    """A table of a SQLite file."""

    path: Path
    object: str
    datastore: k.Datastore
    engine: str = "sqlite"

    def _run(self, sql: str, params: tuple[Any, ...] = ()) -> list[Any]:
        database = Database(self.path)
        try:
            with database.conn:
                return list(database.execute(sql, params).fetchall())
        finally:
            database.close()

    def put_earlier(self) -> None:
        self._run(f'CREATE TABLE "{self.object}" (note TEXT)')
        self._run(f"INSERT INTO \"{self.object}\" VALUES ('earlier')")

    def seen(self) -> Any:
        kind = self._run("SELECT sql FROM sqlite_master WHERE name = ?", (self.object,))
        if not kind:
            return None
        return kind[0][0].split("(", 1)[1], sorted(map(repr, self._run(f'SELECT * FROM "{self.object}"')))

    def alter(self, column: str, value: str, where: str, equals: int) -> None:
        self._run(f'UPDATE "{self.object}" SET "{column}" = ? WHERE "{where}" = ?', (value, equals))

    def left_over(self) -> list[str]:
        return [row[0] for row in self._run("SELECT name FROM sqlite_master WHERE name LIKE 'haulier_staging%'")]


@dataclass
class DuckdbPlace:
    """A table of a DuckDB file."""

    path: Path
    object: str
    datastore: k.Datastore
    engine: str = "duckdb"

    def _run(self, sql: str, params: tuple[Any, ...] = ()) -> list[Any]:
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(sql, list(params)).fetchall()

    def put_earlier(self) -> None:
        self._run(f"CREATE TABLE \"{self.object}\" AS SELECT 'earlier' AS note")

    def seen(self) -> Any:
        if not self.path.exists():
            return None
        kind = self._run("SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ?", (self.object,))
        if not kind:
            return None
        rows = self._run(f'SELECT CAST(COLUMNS(*) AS VARCHAR) FROM "{self.object}"')
        return kind, sorted(map(repr, rows))

    def alter(self, column: str, value: str, where: str, equals: int) -> None:
        self._run(f'UPDATE "{self.object}" SET "{column}" = ? WHERE "{where}" = ?', (value, equals))

    def left_over(self) -> list[str]:
        return [row[0] for row in self._run("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE '%staging%'")]


@dataclass
class PostgresqlPlace:
    """A table of a PostgreSQL database."""

    server: PostgresServer
    schema: str
    object: str
    datastore: k.Datastore
    engine: str = "postgresql"

    def connect(self, user: str = "") -> psycopg.Connection[tuple[Any, ...]]:
        """A connection in which names mean this place's; as the ordinary role, or as the user given."""
        connection = self.server.connect(SHARED, user or self.server.role)
        connection.execute(f"SET search_path = {self.schema}".encode())
        return connection

    def _run(self, sql: str, params: tuple[Any, ...] = ()) -> list[Any]:
        with self.connect() as connection:
            cursor = connection.execute(sql.encode(), params or None)
            return cursor.fetchall() if cursor.description else []

    def put_earlier(self) -> None:
        self._run(f'CREATE TABLE "{self.object}" (note text PRIMARY KEY)')
        self._run(f"INSERT INTO \"{self.object}\" VALUES ('earlier')")
        self._run(f'GRANT SELECT ON "{self.object}" TO PUBLIC')

    def seen(self) -> Any:
        try:
            rows = self._run(f'SELECT t::text FROM "{self.object}" t')
        except psycopg.errors.UndefinedTable:
            return None
        kind = self._run(
            "SELECT attname::text, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute "
            "WHERE attrelid = to_regclass(quote_ident(%s)) AND attnum > 0 ORDER BY attnum",
            (self.object,),
        )
        return kind, sorted(map(repr, rows))

    def alter(self, column: str, value: str, where: str, equals: int) -> None:
        self._run(f'UPDATE "{self.object}" SET "{column}" = %s WHERE "{where}" = %s', (value, equals))

    def left_over(self) -> list[str]:
        return [
            row[0]
            for row in self._run(
                "SELECT relname FROM pg_class WHERE relname LIKE %s AND relnamespace = %s::regnamespace",
                ("haulier_staging%", self.schema),
            )
        ]


def make_place(engine: str, home: Path, server: PostgresServer | None, found: str = "things") -> Place:
    """A fresh place below `home`; PostgreSQL gets a fresh database on the server."""
    home.mkdir(parents=True, exist_ok=True)
    if engine == "csv":
        store = k.Datastore(name="files", csv=k.CsvStore(root=str(home)))
        return FilePlace(engine, home, f"{found}.csv", store)
    if engine == "parquet":
        store = k.Datastore(name="lake", parquet=k.ParquetStore(root=str(home)))
        return FilePlace(engine, home, f"{found}.parquet", store)
    if engine == "sqlite":
        path = home / "data.db"
        return SqlitePlace(path, found, k.Datastore(name="lite", sqlite=k.SqliteStore(path=str(path))))
    if engine == "duckdb":
        path = home / "data.duckdb"
        return DuckdbPlace(path, found, k.Datastore(name="duck", duckdb=k.DuckdbStore(path=str(path))))
    if engine != "postgresql":
        # A further engine has a file of its own, `place_of_ENGINE.py`, with a function of this name.
        of_engine = importlib.import_module(f"tests.contract.executors.place_of_{engine}")
        made: Place = of_engine.make_place(engine, home, server, found)
        return made
    assert server is not None
    schema = server.create_schema()
    store = k.Datastore(
        name="elephant",
        postgresql=k.PostgresqlStore(
            host=str(server.socket), port=server.port, database=SHARED, user=server.role, schema=schema
        ),
    )
    return PostgresqlPlace(server, schema, found, store)
