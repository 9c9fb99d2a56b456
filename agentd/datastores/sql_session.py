"""What the ledger needs of an engine's connection: a few operations that SQLite, DuckDB and PostgreSQL all have."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from agentd.datastores.as_published import TableSession


class SqlSession(TableSession, Protocol):
    """One connection. SQL uses `?` for parameters; names are already quoted."""

    def run(self, sql: str, params: Sequence[object] = ()) -> int:
        """Execute and return the number of rows changed."""

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit at the end, roll back on any exception."""

    def make_tables_alone(self) -> None:
        """Within a transaction: wait until no other writer makes tables of ours, and keep them out until its end."""

    def named(self, table: str) -> str:
        """The table's quoted, qualified name."""

    def exists(self, table: str) -> bool:
        """Whether a table or view of this name is there."""

    def rename(self, table: str, name: str) -> None:
        """Rename a table within its schema."""

    def drop(self, table: str) -> None:
        """Drop a table if it is there."""

    def guard_replace(self, table: str) -> None:
        """Refuse by StepFailure to rename away a table on which others depend."""

    def column_names(self, table: str) -> list[str]:
        """Names of the table's columns; none where it is not there."""

    def hold_still(self, table: str) -> None:
        """Within a transaction: let nobody else write the table until its end; readers pass."""

    def settle(self, old: str, new: str) -> None:
        """Give the new table what consumers had on the old one, such as grants."""
