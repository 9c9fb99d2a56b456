"""What the ledger needs of an engine's connection: a few operations that SQLite, DuckDB and PostgreSQL all have."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from agentd.datastores.fences.as_published import TableSession
from agentd.datastores.port.datastore import Writer
from agentd.datastores.port.definitions import Definition, Waiver

T = TypeVar("T")


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

    def lock(self, tables: Sequence[str], writer: Writer) -> None:
        """Within a transaction: keep everybody else from these tables until its end, once they let go of them.

        Nobody has to queue behind this while it waits. Raises StepFailure (busy) where it waited long enough.
        """

    def patiently(self, writer: Writer, act: Callable[[], T]) -> T:
        """Run one transaction; again, where others kept it out, until the Datastore's bound."""

    def guard_replace(self, table: str, waivers: Sequence[Waiver], key: Sequence[str]) -> list[Definition]:
        """What a replacement with this key would lose, as it was waived; StepFailure where it would lose more."""

    def key_name(self, table: str) -> str:
        """Name of the table's primary key; "" where it has none, or the engine names none."""

    def name_key(self, table: str, wanted: str) -> None:
        """Give the table's primary key the wanted name, or its usual one where none is wanted."""

    def column_names(self, table: str) -> list[str]:
        """Names of the table's columns; none where it is not there."""

    def hold_still(self, table: str) -> None:
        """Within a transaction: let nobody else write the table until its end; readers pass."""

    def settle(self, old: str, new: str) -> None:
        """Give the new table what consumers had on the old one, such as grants."""
