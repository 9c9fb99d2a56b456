"""Propose columns for SQLite tables from the kinds of their values, and their declared types where values leave it
open."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from agentd.datastores.forms.guessing import Guess
from agentd.datastores.forms.text_cells import Unfit
from agentd.datastores.port.datastore import BATCH_ROWS, not_found
from agentd.datastores.sqlite.datastore import SqliteDatastore
from agentd.datastores.sqlite.place import SqlitePlace
from agentd.datastores.sqlite.session import SqliteSession, quoted
from agentd.datastores.sqlite.values import from_values
from agentd.proof.types import Column, Columns, ColumnType

T = ColumnType

# Declared types whose text means more than text.
_TEXTUAL = {
    "DATE": (T.DATE,),
    "DATETIME": (T.TIMESTAMP, T.TIMESTAMPTZ),
    "TIMESTAMP": (T.TIMESTAMP, T.TIMESTAMPTZ),
    "TIMESTAMPTZ": (T.TIMESTAMPTZ,),
    "DECIMAL": (T.DECIMAL, T.INT64),
    "NUMERIC": (T.DECIMAL, T.INT64),
}


def sqlite_proposals(path: Path, table: str) -> Iterator[tuple[str, Columns, tuple[str, ...], tuple[str, ...]]]:
    """(table, columns, key, columns that have no exact type) for the table, or for every table of the file."""
    store = SqliteDatastore(SqlitePlace(path.name, path))
    with store.session() as session:
        names = store.tables(session)
        if table and table not in names:
            raise not_found(path.name, table, names)
        for name in [table] if table else names:
            yield _proposal(session, name)


def _proposal(session: SqliteSession, table: str) -> tuple[str, Columns, tuple[str, ...], tuple[str, ...]]:
    columns: list[Column] = []
    refused: list[str] = []
    rows = session.rows("SELECT name, type, pk FROM pragma_table_xinfo(?) WHERE hidden <> 1", (table,))
    for name, declared, _ in rows:
        found = _column(session, table, str(name), str(declared).upper())
        if isinstance(found, Column):
            columns.append(found)
        else:
            refused.append(found)
    key = tuple(row[0] for row in sorted(rows, key=lambda row: row[2]) if row[2])
    return table, tuple(columns), key, tuple(refused)


def _column(session: SqliteSession, table: str, name: str, declared: str) -> Column | str:
    kinds = dict(session.rows(f"SELECT typeof({quoted(name)}), count(*) FROM {quoted(table)} GROUP BY 1"))
    required = bool(kinds) and not kinds.pop("null", 0)
    base = declared.split("(")[0].strip()
    if not kinds:
        return Column(name, _by_declaration(base), required=False)
    if set(kinds) <= {"integer"}:
        is_bool = base.startswith("BOOL") and _fits(session, table, Column(name, T.BOOL))
        return Column(name, T.BOOL if is_bool else T.INT64, required=required)
    if set(kinds) == {"blob"}:
        return Column(name, T.BYTES, required=required)
    if base in _TEXTUAL:
        guess = _guessed(session, table, name)
        if guess.type in _TEXTUAL[base]:
            return guess.column(1 if required else 0)
    if set(kinds) == {"text"}:
        return Column(name, T.TEXT, required=required)
    if set(kinds) <= {"integer", "real"} and _fits(session, table, Column(name, T.FLOAT64)):
        return Column(name, T.FLOAT64, required=required)
    held = " and ".join(sorted(kinds))
    return f"column {name!r} holds {held}; cast it to one of them in a view"


def _by_declaration(base: str) -> ColumnType:
    """The type of a column without values."""
    for mark, kind in (("BOOL", T.BOOL), ("INT", T.INT64), ("REAL", T.FLOAT64), ("DOUB", T.FLOAT64), ("BLOB", T.BYTES)):
        if mark in base:
            return kind
    return T.TEXT


def _values(session: SqliteSession, table: str, name: str) -> Iterator[list[Any]]:
    cursor = session.connection.execute(f"SELECT {quoted(name)} FROM {quoted(table)}")
    while rows := cursor.fetchmany(BATCH_ROWS):
        yield [row[0] for row in rows]


def _guessed(session: SqliteSession, table: str, name: str) -> Guess:
    """What the values would be as text; floats by their shortest text."""
    guess = Guess(name)
    for values in _values(session, table, name):
        texts = [None if v is None else v if isinstance(v, str) else _shortest(v) for v in values]
        guess.see(pa.array(texts, pa.string()))
    return guess


def _shortest(value: Any) -> str:
    text = repr(value)
    return text.removesuffix(".0") if isinstance(value, float) else text


def _fits(session: SqliteSession, table: str, column: Column) -> bool:
    try:
        for values in _values(session, table, column.name):
            from_values(values, column)
    except Unfit:
        return False
    return True
