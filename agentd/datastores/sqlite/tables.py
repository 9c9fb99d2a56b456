"""What SQLite says of a table, and its rows as it holds them: what tells a table again (`as_published`)."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

from agentd.datastores.fences.as_published import Traits, defined_by
from agentd.datastores.port.datastore import BATCH_ROWS

_COLUMNS = (
    "SELECT name, trim(type || iif(\"notnull\", ' not null', '') || iif(pk, ' primary key ' || pk, '') "
    "|| iif(dflt_value IS NULL, '', ' with a default')) FROM pragma_table_xinfo(?) ORDER BY cid"
)
_ATTACHED = (
    "SELECT type || ' ' || name FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL "
    "AND lower(tbl_name) = lower(?) ORDER BY type, name"
)


def traits(connection: Any, table: str) -> Traits | None:
    """The table or view; None where there is none. SQLite has no id of a table that lasts, so the text that made it
    stands in."""
    found = connection.execute(
        "SELECT type, sql FROM sqlite_master WHERE type IN ('table', 'view') AND lower(name) = lower(?)", (table,)
    ).fetchone()
    if found is None:
        return None
    columns = tuple((str(name), str(kind)) for name, kind in connection.execute(_COLUMNS, (table,)))
    attached = tuple(str(row[0]) for row in connection.execute(_ATTACHED, (table,)))
    return Traits(found[0], "", columns, attached, defined_by(found[1]))


def row_sums(connection: Any, quoted_table: str) -> Iterator[Sequence[int]]:
    """A number for each row, by its values and their types."""
    before = connection.text_factory
    # A table of somebody else may hold text that is none.
    connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
    try:
        cursor = connection.execute(f"SELECT * FROM {quoted_table}")
        while rows := cursor.fetchmany(BATCH_ROWS):
            yield [int.from_bytes(hashlib.blake2b(repr(row).encode(), digest_size=8).digest()) for row in rows]
    finally:
        connection.text_factory = before
