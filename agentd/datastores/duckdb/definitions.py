"""What hangs on a table or view of a DuckDB file beside its rows, by DuckDB's catalogue."""

from typing import Any, Protocol

from agentd.datastores.port.definitions import Definition, in_order
from agentd.datastores.sql.words import columns_declared, names, numbered


class Session(Protocol):
    """What is needed of a session."""

    def rows(self, sql: str, params: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""


# Views refer to a name, which another table can take.
BY_NAME = frozenset({"view"})
# DuckDB lets nobody rename a table that has one of these.
HOLDING = frozenset({"index", "foreign_key", "referencing_key"})


def definitions(session: Session, table: str) -> list[Definition]:
    """Everything that hangs on it but its columns' types, in order."""
    views = session.rows(
        "SELECT view_name, sql FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal "
        "AND lower(view_name) <> lower(?)",
        (table,),
    )
    found = [("view", name) for name, sql in views if names(sql, table)]
    found += [("index", name) for (name,) in session.rows(_where("SELECT index_name FROM duckdb_indexes()"), (table,))]
    found += _columns(session, table)
    for kind, columns, parent in session.rows(
        _where("SELECT constraint_type, constraint_column_names, referenced_table FROM duckdb_constraints()"), (table,)
    ):
        said = ", ".join(columns)
        if kind in _CONSTRAINTS:
            found.append((_CONSTRAINTS[kind], f"{said} → {parent}" if kind == "FOREIGN KEY" else said))
    found += [
        ("referencing_key", f"{child}: {', '.join(columns)}")
        for child, columns in session.rows(
            "SELECT table_name, constraint_column_names FROM duckdb_constraints() WHERE schema_name = 'main' "
            "AND constraint_type = 'FOREIGN KEY' AND lower(referenced_table) = lower(?) "
            "AND lower(table_name) <> lower(?)",
            (table, table),
        )
    ]
    return in_order(Definition(*each) for each in found)


_CONSTRAINTS = {
    "PRIMARY KEY": "primary_key",
    "UNIQUE": "unique",
    "FOREIGN KEY": "foreign_key",
    "NOT NULL": "not_null",
}


def _where(select: str) -> str:
    return f"{select} WHERE schema_name = 'main' AND lower(table_name) = lower(?)"


def _columns(session: Session, table: str) -> list[tuple[str, str]]:
    tables = session.rows(_where("SELECT table_name, sql, comment FROM duckdb_tables()"), (table,))
    sql = tables[0][1] if tables else ""
    declared = {name: [word.keyword for word in words] for name, words in columns_declared(sql).items()}
    checks = session.rows(
        _where("SELECT constraint_column_names FROM duckdb_constraints()") + " AND constraint_type = 'CHECK'", (table,)
    )
    found = [("check", name) for name in numbered([", ".join(columns) for (columns,) in checks])]
    found += [("comment", name) for name, _, comment in tables if comment is not None]
    for name, default, comment in session.rows(
        _where("SELECT column_name, column_default, comment FROM duckdb_columns()"), (table,)
    ):
        words = declared.get(name, [])
        if "GENERATED" in words:
            found.append(("generated", name))
        elif default is not None:
            found.append(("default", name))
        if comment is not None:
            found.append(("comment", name))
        if "COLLATE" in words[:-1]:
            found.append(("collation", f"{name}: {words[words.index('COLLATE') + 1].lower()}"))
    return found
