"""What DuckDB says of a table, and its rows as it holds them: what tells a table again (`as_published`)."""

from collections.abc import Iterator, Sequence

import duckdb

from agentd.datastores.fences.as_published import Traits, defined_by
from agentd.datastores.port.datastore import BATCH_ROWS

_IN_MAIN = "schema_name = 'main' AND lower(table_name) = lower(?)"
_COLUMNS = (
    "SELECT column_name, data_type || CASE WHEN is_nullable THEN '' ELSE ' not null' END "
    "|| CASE WHEN column_default IS NULL THEN '' ELSE ' with a default' END, column_default "
    f"FROM duckdb_columns() WHERE {_IN_MAIN} ORDER BY column_index"
)
# What columns refuse is said with the columns.
_ATTACHED = (
    f"SELECT 'index ' || index_name, sql FROM duckdb_indexes() WHERE {_IN_MAIN} UNION ALL "
    f"SELECT 'constraint ' || constraint_name, constraint_text FROM duckdb_constraints() WHERE {_IN_MAIN} "
    "AND constraint_type <> 'NOT NULL' ORDER BY 1, 2"
)


def traits(connection: duckdb.DuckDBPyConnection, table: str, kind: str | None) -> Traits | None:
    """The table or view of this kind; None where there is none. DuckDB numbers its tables anew whenever a file is
    opened, so a mark it has none."""
    if kind is None:
        return None
    found = connection.execute(_COLUMNS, [table]).fetchall()
    hanging = connection.execute(_ATTACHED, [table, table]).fetchall()
    columns = tuple((str(name), str(spelled)) for name, spelled, _ in found)
    texts = [default for *_, default in found], [text for _, text in hanging]
    return Traits(kind, "", columns, tuple(str(name) for name, _ in hanging), defined_by(*texts))


def row_sums(connection: duckdb.DuckDBPyConnection, named_table: str) -> Iterator[Sequence[int]]:
    """A number for each row, by the text of its values."""
    cursor = connection.execute(
        f"SELECT ('0x' || md5(CAST(haulier_row AS VARCHAR))[:15])::BIGINT FROM {named_table} AS haulier_row"
    )
    while rows := cursor.fetchmany(BATCH_ROWS):
        yield [int(row[0]) for row in rows]
