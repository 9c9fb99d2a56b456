"""Two hundred tables, sixty CSV and forty Parquet files; one in thirty-three cannot be moved as it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from tests.system.contents import Place
from tests.system.scene import Document, dataset, migration

ROWS = 400
COLUMNS = [
    {"name": "id", "type": "int64", "required": True},
    {"name": "name", "type": "text"},
    {"name": "amount", "type": "decimal(12,2)"},
]
TABLES, CSV_FILES, PARQUET_FILES = 200, 60, 40
BAD_EVERY = 33


@dataclass(frozen=True, slots=True)
class Item:
    """One dataset and where it goes."""

    name: str
    engine: str
    number: int

    @property
    def is_bad(self) -> bool:
        """Whether its source is broken at first."""
        return self.number % BAD_EVERY == BAD_EVERY - 1

    @property
    def object(self) -> str:
        """Its table or file at the source."""
        return {"postgresql": f"src.{self.name.replace('-', '_')}", "csv": f"{self.name}.csv"}.get(
            self.engine, f"{self.name}.parquet"
        )


def items() -> list[Item]:
    """All of them, mixed as they come."""
    engines = ["postgresql"] * TABLES + ["csv"] * CSV_FILES + ["parquet"] * PARQUET_FILES
    return [Item(f"item-{number:03d}", engine, number) for number, engine in enumerate(engines)]


class Sources:
    """Where the datasets live at first."""

    def __init__(self, dsn: str, files: Path) -> None:
        self._dsn = dsn
        self._files = files

    def make(self) -> None:
        """Make every source, the broken ones broken."""
        self._files.mkdir(parents=True)
        with psycopg.connect(self._dsn) as connection:
            connection.execute("CREATE SCHEMA src")
            connection.execute("CREATE SCHEMA dst")
            for item in items():
                if item.engine == "postgresql":
                    _make_table(connection, item)
        for item in items():
            self._write_file(item, broken=item.is_bad)

    def mend(self) -> None:
        """Mend the broken ones, as their owners would."""
        with psycopg.connect(self._dsn) as connection:
            for item in items():
                if item.is_bad and item.engine == "postgresql":
                    connection.execute(f"UPDATE {item.object} SET amount = 1 WHERE amount = 'NaN'".encode())
        for item in items():
            if item.is_bad:
                self._write_file(item, broken=False)

    def _write_file(self, item: Item, *, broken: bool) -> None:
        path = self._files / item.object
        if item.engine == "csv":
            lines = [f"{n},name {n},{n}.50" for n in range(ROWS)]
            if broken:
                lines[ROWS // 2] = f"{ROWS // 2},name,1.505"
            path.write_text("id,name,amount\n" + "\n".join(lines) + "\n")
        elif item.engine == "parquet":
            names = pa.array([None if broken and n == 7 else n for n in range(ROWS)], pa.int64())
            texts = pa.array([f"name {n}" for n in range(ROWS)])
            amounts = pa.array([Decimal(n) for n in range(ROWS)], pa.decimal128(12, 2))
            pq.write_table(pa.table({"id": names, "name": texts, "amount": amounts}), path)


def _make_table(connection: psycopg.Connection[Any], item: Item) -> None:
    connection.execute(f"CREATE TABLE {item.object} (id bigint PRIMARY KEY, name text, amount numeric(12,2))".encode())
    connection.execute(
        f"INSERT INTO {item.object} SELECT n, 'name ' || n, n + 0.5 FROM generate_series(0, {ROWS - 1}) n".encode()
    )
    if item.is_bad:
        connection.execute(f"UPDATE {item.object} SET amount = 'NaN' WHERE id = 7".encode())


def manifests(lake: str) -> Iterator[Document]:
    """A Dataset and a Migration for each: tables and files by turns to the other database schema and to the lake."""
    for item in items():
        source = "warehouse" if item.engine == "postgresql" else f"{item.engine}-files"
        yield dataset(item.name, datastore=source, object=item.object, key=["id"], columns=COLUMNS)
        to_lake = item.number % 2 == 1
        place = Place("parquet", "lake", lake, f"{item.name}.parquet") if to_lake else _table(item)
        yield migration(item.name, place, dataset=item.name)


def _table(item: Item) -> Place:
    return Place("postgresql", "warehouse", "", f"dst.{item.name.replace('-', '_')}")


def tables_of_ours(dsn: str) -> Mapping[str, int]:
    """Haulier's own tables in the database, by the beginning of their names."""
    with psycopg.connect(dsn) as connection:
        names = [row[0] for row in connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r'").fetchall()]
    sorts = ("haulier_kept", "haulier_staging", "haulier_fence", "haulier_publication")
    return {sort: sum(name.startswith(sort) for name in names) for sort in sorts}
