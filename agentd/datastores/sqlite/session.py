"""One SQLite connection as the ledger wants it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlite_utils import utils as sqlite_utils

from agentd.datastores.fences.as_published import Traits
from agentd.datastores.port.datastore import Writer
from agentd.datastores.port.definitions import CARRIED, Definition, Waiver, require_waived
from agentd.datastores.port.failures import StepFailure
from agentd.datastores.sqlite import tables
from agentd.datastores.sqlite.definitions import BY_NAME, definitions
from agentd.datastores.sqlite.place import SqlitePlace
from agentd.datastores.waiting.file_holders import holders
from agentd.datastores.waiting.patience import Holder, Patience

T = TypeVar("T")

# The library that sqlite-utils picked: pysqlite3 where it is installed.
sqlite3: Any = vars(sqlite_utils)["sqlite3"]

# A try for the lock on the file: shorter than a reader who queues behind it notices. A writer's connection waits no
# longer for anything; what is longer is `patiently`, which has a bound and names the holder.
TRY_S = 0.3


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


class SqliteSession:
    """An `agentd.datastores.fences.sql_session.SqlSession` over one connection to the place's file."""

    def __init__(self, connection: Any, place: SqlitePlace) -> None:
        self.connection = connection
        self._place = place

    def set_up(self) -> None:
        """Make the connection's settings. Must come first; reads the file, so it can meet a lock."""
        self.connection.execute("PRAGMA legacy_alter_table = ON")
        self.connection.execute("PRAGMA synchronous = FULL")

    def run(self, sql: str, params: Sequence[object] = ()) -> int:
        """Execute and return the number of rows changed."""
        return int(self.connection.execute(sql, tuple(params)).rowcount)

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return list(self.connection.execute(sql, tuple(params)).fetchall())

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A write transaction that commits at the end and rolls back on any exception."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.commit()
        except BaseException:
            # Whatever ends the transaction early, an interrupt too, leaves nothing of it, nor of the lock that a commit
            # waits with.
            self.connection.rollback()
            raise

    def _holders(self) -> list[Holder]:
        path = self._place.path
        return holders([path, path.with_name(path.name + "-shm")])

    def make_tables_alone(self) -> None:
        """SQLite needs nothing: its transaction is the only writer."""

    def named(self, table: str) -> str:
        """The table's quoted name."""
        return quoted(table)

    def _kind(self, table: str) -> str | None:
        found = self.rows(
            "SELECT type FROM sqlite_master WHERE type IN ('table', 'view') AND lower(name) = lower(?)", (table,)
        )
        return found[0][0] if found else None

    def exists(self, table: str) -> bool:
        """Whether a table or view of this name is there."""
        return self._kind(table) is not None

    def rename(self, table: str, name: str) -> None:
        """Rename a table; views and triggers go on naming what they named."""
        self.run(f"ALTER TABLE {quoted(table)} RENAME TO {quoted(name)}")

    def drop(self, table: str) -> None:
        """Drop a table if it is there."""
        self.run(f"DROP TABLE IF EXISTS {quoted(table)}")

    def lock(self, tables: Sequence[str], writer: Writer) -> None:
        """SQLite needs nothing: its transaction is the only writer."""

    def patiently(self, writer: Writer, act: Callable[[], T]) -> T:
        """Run one transaction; again, where other processes kept it out.

        A commit that waits for readers lets no new ones in. So it is given up soon, and the whole transaction is run
        again: in the pause between, everybody passes.
        """
        patience = Patience(writer, self._place.name, self._place.lock_wait_s)
        while True:
            try:
                return act()
            except sqlite3.OperationalError as err:
                if "locked" not in str(err):
                    raise
            patience.bear(f"the lock on {self._place.path}", writer.outside(self._holders))

    def key_name(self, table: str) -> str:
        """SQLite's keys have no names."""
        del table
        return ""

    def name_key(self, table: str, wanted: str) -> None:
        """SQLite's keys have no names."""

    def guard_replace(self, table: str, waivers: Sequence[Waiver], key: Sequence[str]) -> list[Definition]:
        """What a replacement would lose, as it was waived. What refers to the table by name goes on doing so."""
        if self._kind(table) != "table":
            raise StepFailure(
                "cannot_replace", f"{table!r} is a view, so it cannot be replaced", "Choose another object."
            )
        return require_waived(
            table, definitions(self, table), waivers, CARRIED | BY_NAME | ({"primary_key"} if key else set())
        )

    def column_names(self, table: str) -> list[str]:
        """Names of the table's columns; none where it is not there."""
        return [row[0] for row in self.rows("SELECT name FROM pragma_table_info(?)", (table,))]

    def hold_still(self, table: str) -> None:
        """SQLite needs nothing: its transaction is the only writer."""

    def traits(self, table: str) -> Traits | None:
        """The table or view of this name; None where there is none."""
        return tables.traits(self.connection, table)

    def named_now(self, mark: str) -> str:
        """SQLite has no marks."""
        del mark
        return ""

    def row_sums(self, table: str) -> Iterator[Sequence[int]]:
        """A number for each row, by its values and their types."""
        return tables.row_sums(self.connection, quoted(table))

    def settle(self, old: str, new: str) -> None:
        """SQLite has no grants."""
