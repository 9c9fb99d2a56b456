"""Where SQLite holds text that is no UTF-8: it does not check, and reading such a cell as text stops the reading."""

from typing import Any

from agentd.datastores.forms.text_cells import shape
from agentd.datastores.port.datastore import BATCH_ROWS
from agentd.datastores.port.failures import StepFailure
from agentd.proof.types import Columns

MARK = "Could not decode to UTF-8"
HINT = "Write the cell as UTF-8, or as a BLOB and declare the column as bytes."


def fetched(cursor: Any, statement: str, columns: Columns, place: str) -> list[tuple[Any, ...]]:
    """The next rows of a running SELECT; raises StepFailure that names row and column of text that is not UTF-8.

    The SELECT yields the row's id, or NULL where it has none, and then the columns.
    """
    try:
        return list(cursor.fetchmany(BATCH_ROWS))
    except Exception as err:
        if MARK not in str(err):
            raise
        raise _first(cursor.connection, statement, columns, place) from None


class _Text(bytes):
    """Bytes that SQLite calls text, told apart from a BLOB."""


def _first(connection: Any, statement: str, columns: Columns, place: str) -> StepFailure:
    """Failure that names the first such cell, by running the SELECT again for bytes."""
    connection.text_factory = _Text
    for number, (rowid, *cells) in enumerate(connection.execute(statement), 1):
        for cell, column in zip(cells, columns, strict=True):
            if isinstance(cell, _Text) and _is_broken(cell):
                where = f"rowid {rowid}" if rowid is not None else f"row {number}"
                return StepFailure(
                    "value_does_not_fit", f"{place}: {where}, column {column.name!r}: {shape(bytes(cell))}", HINT
                )
    return StepFailure("value_does_not_fit", f"{place} holds text that is not UTF-8", HINT)


def _is_broken(cell: bytes) -> bool:
    try:
        cell.decode()
    except UnicodeDecodeError:
        return True
    return False
