"""What lies at a destination, read with each engine's own library and none of the product's code."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow.parquet as pq
from psycopg import sql as pgsql
from sqlite_utils import utils as sqlite_utils

# The library that sqlite-utils picked: one process never has two copies of it.
sqlite3: Any = vars(sqlite_utils)["sqlite3"]

ENGINES = ("csv", "parquet", "sqlite", "duckdb", "postgresql")
NULL_TEXT = "NA"
NAMES = ("id", "name", "amount", "seen", "fresh")
Row = tuple[int, str | None, Decimal | None, dt.datetime | None, bool | None]


@dataclass(frozen=True, slots=True)
class Place:
    """An object at a datastore. ``at`` is the root, the file, or the server's connection string."""

    engine: str
    datastore: str
    at: str
    object: str

    @property
    def path(self) -> Path:
        """The file of a csv or parquet object."""
        return Path(self.at) / self.object


def source_rows(count: int) -> list[Row]:
    """Return rows with what text formats confuse: quotes, commas, empty text beside NULL, exact decimals."""
    names = ('quote " inside', "comma, here", "", None, "ünïcödé 🦜", "plain", "NULL", "0")
    start = dt.datetime(2013, 1, 1)
    return [
        (
            number,
            names[number % len(names)],
            None if number % 7 == 3 else Decimal(number * 37 % 100_000) / 100,
            None if number % 11 == 5 else start + dt.timedelta(minutes=number),
            None if number % 5 == 4 else number % 2 == 0,
        )
        for number in range(count)
    ]


def write_source(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as an upstream team would deliver them: CSV with NA for NULL."""
    lines = [",".join(NAMES)]
    for number, name, amount, seen, fresh in rows:
        text = NULL_TEXT if name is None else '"' + name.replace('"', '""') + '"'
        when = NULL_TEXT if seen is None else seen.isoformat(sep=" ")
        flag = NULL_TEXT if fresh is None else str(fresh).lower()
        lines.append(f"{number},{text},{NULL_TEXT if amount is None else f'{amount:.2f}'},{when},{flag}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def rows_at(place: Place) -> list[Row]:
    """Return all rows at a place in order of id, whatever types the engine keeps them in."""
    read = {"csv": _csv, "parquet": _parquet, "sqlite": _sqlite, "duckdb": _duckdb, "postgresql": _postgresql}
    return sorted((_plain(cells) for cells in read[place.engine](place)), key=lambda row: row[0])


def fingerprint(place: Place) -> str | None:
    """Return a digest of everything an engine shows of an object, its definition too; None where it is not there."""
    if place.engine in ("csv", "parquet"):
        return hashlib.sha256(place.path.read_bytes()).hexdigest() if place.path.exists() else None
    if place.engine in ("sqlite", "duckdb") and not Path(place.at).exists():
        return None
    with _connected(place) as connection:
        found = {"sqlite": _sqlite_dump, "duckdb": _duckdb_dump, "postgresql": _postgresql_dump}[place.engine](
            connection, place.object
        )
    return None if found is None else hashlib.sha256(repr(found).encode()).hexdigest()


def count_by_query(place: Place) -> int:
    """Return the number of rows that the engine itself counts."""
    if place.engine in ("csv", "parquet"):
        with closing(duckdb.connect()) as connection:
            return int(
                connection.execute(f"SELECT count(*) FROM read_{place.engine}(?)", [str(place.path)]).fetchall()[0][0]
            )
    with _connected(place) as connection:
        return int(connection.execute(f'SELECT count(*) FROM "{place.object}"').fetchone()[0])


def put_before(place: Place) -> None:
    """Put content of somebody else's at a place: other columns, and an index or key where an engine has them."""
    if place.engine == "csv":
        place.path.parent.mkdir(parents=True, exist_ok=True)
        place.path.write_bytes(b"who,what\r\nada,'before'\r\n")
    elif place.engine == "parquet":
        place.path.parent.mkdir(parents=True, exist_ok=True)
        with closing(duckdb.connect()) as connection:
            connection.execute(f"COPY (SELECT 'ada' AS who, 42 AS what) TO '{place.path}' (FORMAT parquet)")
    else:
        with _connected(place, write=True) as connection:
            key = " PRIMARY KEY" if place.engine != "duckdb" else ""
            connection.execute(f'CREATE TABLE "{place.object}" (who varchar(20) NOT NULL{key}, what integer)')
            connection.execute(f"INSERT INTO \"{place.object}\" VALUES ('ada', 42), ('bob', NULL)")


@contextmanager
def _connected(place: Place, write: bool = False) -> Iterator[Any]:
    if place.engine == "sqlite":
        mode = "rwc" if write else "ro"
        connection: Any = sqlite3.connect(f"file:{place.at}?mode={mode}", uri=True, isolation_level=None)
    elif place.engine == "duckdb":
        connection = duckdb.connect(place.at, read_only=not write)
    else:
        connection = psycopg.connect(place.at, autocommit=True)
    with closing(connection):
        yield connection


def _csv(place: Place) -> list[tuple[Any, ...]]:
    # The product quotes every value, so an unquoted NA is NULL; Python 3.11 cannot tell the two, DuckDB can.
    with closing(duckdb.connect()) as connection:
        return list(
            connection.execute(
                "SELECT * FROM read_csv(?, header = true, all_varchar = true, nullstr = ?, allow_quoted_nulls = false)",
                [str(place.path), NULL_TEXT],
            ).fetchall()
        )


def _parquet(place: Place) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in pq.read_table(place.path).to_pylist()]


def _sqlite(place: Place) -> list[tuple[Any, ...]]:
    with _connected(place) as connection:
        return list(connection.execute(f'SELECT * FROM "{place.object}"').fetchall())


_duckdb = _postgresql = _sqlite


def _plain(cells: tuple[Any, ...]) -> Row:
    number, name, amount, seen, fresh = cells
    return (
        int(number),
        name,
        None if amount is None else Decimal(str(amount)),
        seen if seen is None or isinstance(seen, dt.datetime) else dt.datetime.fromisoformat(str(seen)),
        None if fresh is None else str(fresh).lower() in ("1", "t", "true"),
    )


def _sqlite_dump(connection: Any, table: str) -> object:
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE tbl_name = ? ORDER BY name", [table]
    ).fetchall()
    if not found:
        return None
    names = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")').fetchall()]
    cells = ", ".join(f'typeof("{name}"), quote("{name}")' for name in names)
    return found, sorted(connection.execute(f'SELECT {cells} FROM "{table}"').fetchall())


def _duckdb_dump(connection: Any, table: str) -> object:
    found = connection.execute("SELECT sql FROM duckdb_tables() WHERE table_name = ?", [table]).fetchall()
    if not found:
        return None
    return found, sorted(map(repr, connection.execute(f'SELECT * FROM "{table}"').fetchall()))


def _postgresql_dump(connection: Any, table: str) -> object:
    oid = connection.execute("SELECT to_regclass(%s)::oid", [f'public."{table}"']).fetchone()[0]
    if oid is None:
        return None
    columns = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute "
        "WHERE attrelid = %s AND attnum > 0 ORDER BY attnum",
        [oid],
    ).fetchall()
    keys = connection.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s ORDER BY 1", [oid]
    ).fetchall()
    statement = pgsql.SQL("SELECT t::text FROM {} AS t ORDER BY 1").format(pgsql.Identifier("public", table))
    return columns, keys, connection.execute(statement).fetchall()
