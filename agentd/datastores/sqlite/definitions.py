"""What hangs on a table or view of a SQLite file beside its rows: by SQLite's pragmas, and by the text of its schema.

Others refer to a table by name here: views, foreign keys and triggers of other tables follow a name to a new table,
while its own indexes and triggers stay with the old one.
"""

from typing import Any, Protocol

from agentd.datastores.port.definitions import Definition, in_order
from agentd.datastores.sql.words import checks_declared, columns_declared, names
from agentd.datastores.sqlite.values import SPELLED
from agentd.proof.types import Columns


class Session(Protocol):
    """What is needed of a session."""

    def rows(self, sql: str, params: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""


# What refers to the name goes on working when another table takes it.
BY_NAME = frozenset({"view", "referencing_key"})


def definitions(session: Session, table: str, columns: Columns = ()) -> list[Definition]:
    """Everything that hangs on it, in order. Types are compared with those of `columns`, where any are given."""
    kind, name, sql = session.rows(
        "SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE type IN ('table', 'view') "
        "AND lower(name) = lower(?)",
        (table,),
    )[0]
    found = [("view", other) for other, text in _views(session) if other != name and names(text, name)]
    found += [("trigger", each) for (each,) in _of(session, "trigger", table)]
    if kind == "table":
        found += _columns(session, name, sql, columns)
        found += _indexes(session, name)
        found += [("check", each) for each in checks_declared(sql)]
        found += _foreign_keys(session, name)
        found += _storage(session, name)
    return in_order(Definition(*each) for each in found)


def _views(session: Session) -> list[tuple[Any, ...]]:
    return session.rows("SELECT name, coalesce(sql, '') FROM sqlite_master WHERE type = 'view'")


def _of(session: Session, kind: str, table: str) -> list[tuple[Any, ...]]:
    return session.rows("SELECT name FROM sqlite_master WHERE type = ? AND lower(tbl_name) = lower(?)", (kind, table))


def _columns(session: Session, table: str, sql: str, columns: Columns) -> list[tuple[str, str]]:
    rows = session.rows('SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)', (table,))
    logical = {c.name: SPELLED[c.type] for c in columns}
    found = []
    key = [name for name, *_, place, _ in sorted(rows, key=lambda row: int(row[4])) if place]
    if key:
        found.append(("primary_key", ", ".join(key)))
    for name, kind, required, default, place, hidden in rows:
        if required or place:
            found.append(("not_null", name))
        if hidden in (2, 3):
            found.append(("generated", name))
        elif default is not None:
            found.append(("default", name))
        if kind and name in logical and kind.upper() != logical[name]:
            found.append(("type", f"{name}: {kind}"))
    for name, words in columns_declared(sql).items():
        keywords = [word.keyword for word in words]
        if "AUTOINCREMENT" in keywords:
            found.append(("identity", name))
        if "COLLATE" in keywords[:-1]:
            found.append(("collation", f"{name}: {words[keywords.index('COLLATE') + 1].text}"))
    return found


def _indexes(session: Session, table: str) -> list[tuple[str, str]]:
    found = []
    for name, origin in session.rows("SELECT name, origin FROM pragma_index_list(?)", (table,)):
        if origin == "c":
            found.append(("index", name))
        elif origin == "u":
            columns = session.rows("SELECT name FROM pragma_index_info(?) ORDER BY seqno", (name,))
            found.append(("unique", ", ".join(column or "" for (column,) in columns)))
    return found


def _foreign_keys(session: Session, table: str) -> list[tuple[str, str]]:
    keys: dict[tuple[str, int], tuple[str, list[str]]] = {}
    for child, number, parent, column in session.rows(
        'SELECT m.name, f.id, f."table", f."from" FROM sqlite_master m, pragma_foreign_key_list(m.name) f '
        "WHERE m.type = 'table' AND m.name NOT LIKE 'haulier\\_%' ESCAPE '\\' AND (lower(m.name) = lower(?) "
        'OR lower(f."table") = lower(?)) ORDER BY 1, 2, f.seq',
        (table, table),
    ):
        keys.setdefault((child, number), (parent, []))[1].append(column)
    found = []
    for (child, _), (parent, columns) in keys.items():
        own = child.lower() == table.lower()
        said = f"{', '.join(columns)} → {parent}" if own else f"{child}: {', '.join(columns)}"
        found.append(("foreign_key" if own else "referencing_key", said))
    return found


def _storage(session: Session, table: str) -> list[tuple[str, str]]:
    ((kind, without_rowid, strict),) = session.rows(
        "SELECT type, wr, strict FROM pragma_table_list(?) WHERE schema = 'main'", (table,)
    )
    said = [(without_rowid, "WITHOUT ROWID"), (strict, "STRICT"), (kind == "virtual", "virtual table")]
    return [("storage", word) for is_so, word in said if is_so]
