"""One PostgreSQL connection as the ledger wants it: settings pinned, errors named."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import sql as pgsql

from agentd.datastores.fences.as_published import Traits
from agentd.datastores.fences.publications import PUBLICATION
from agentd.datastores.port.datastore import Writer
from agentd.datastores.port.definitions import CARRIED, Definition, Waiver
from agentd.datastores.port.failures import StepFailure
from agentd.datastores.postgresql import replacing
from agentd.datastores.postgresql import tables as postgresql_tables
from agentd.datastores.postgresql.connecting import open_connection
from agentd.datastores.postgresql.failures import naming_errors
from agentd.datastores.postgresql.locks import lock_patiently
from agentd.datastores.postgresql.place import PostgresqlPlace
from agentd.datastores.postgresql.replacing import IDENTIFIER_BYTES_MAX
from agentd.datastores.waiting.patience import Patience

T = TypeVar("T")


@contextmanager
def connected(place: PostgresqlPlace, attempt_id: str = "") -> Iterator["PostgresqlSession"]:
    """A session on its own connection, closed at the end. Raises StepFailure where it cannot be had."""
    connection = open_connection(place, attempt_id)
    try:
        with naming_errors(place):
            yield PostgresqlSession(connection, place)
    finally:
        connection.close()


class PostgresqlSession:
    """An `agentd.datastores.fences.sql_session.SqlSession` in one schema."""

    def __init__(self, connection: psycopg.Connection[Any], place: PostgresqlPlace) -> None:
        self.connection = connection
        self._place = place
        # Who is told of waits; nobody until there is a writer.
        self.writer = Writer("", 0, "", "")
        self._schema = place.schema

    def work_in(self, found: str) -> None:
        """Keep the ledger and staging in the schema of this object, where renames can work."""
        self._schema = self._split(found)[0]

    @property
    def schema(self) -> str:
        """Where the ledger and staging are."""
        return self._schema

    def _split(self, found: str) -> tuple[str, str]:
        schema, dot, table = found.partition(".")
        return (schema, table) if dot else (self._schema, found)

    def identifier(self, found: str) -> pgsql.Identifier:
        """Quoted schema.table of an object or of a table of ours; refuses a name that the server would cut."""
        for part in self._split(found):
            if len(part.encode()) > IDENTIFIER_BYTES_MAX:
                raise StepFailure(
                    "bad_name",
                    f"{part!r} is longer than PostgreSQL's {IDENTIFIER_BYTES_MAX} bytes",
                    "Shorten the name.",
                )
        return pgsql.Identifier(*self._split(found))

    def named(self, table: str) -> str:
        """Quoted schema.table as text."""
        return self.identifier(table).as_string(self.connection)

    def _execute(self, sql: str, params: Sequence[object]) -> psycopg.Cursor[Any]:
        text = sql.replace("%", "%%").replace("?", "%s") if params else sql
        return self.connection.execute(text.encode(), params or None)

    def run(self, sql: str, params: Sequence[object] = ()) -> int:
        """Execute and return the number of rows changed."""
        return self._execute(sql, params).rowcount

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._execute(sql, params).fetchall()

    def transaction(self) -> AbstractContextManager[Any]:
        """A transaction that commits at the end and rolls back on any exception."""
        return self.connection.transaction()

    def make_tables_alone(self) -> None:
        """IF NOT EXISTS alone lets two first writers collide in the catalogue."""
        self.rows("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", (f"haulier tables of {self._schema}",))

    def oid(self, table: str) -> int | None:
        """Object id of a table or view, None where there is none."""
        found = self.rows("SELECT to_regclass(?)::oid", (self.named(table),))
        return None if found[0][0] is None else int(found[0][0])

    def exists(self, table: str) -> bool:
        """Whether a table or view of this name is there."""
        return self.oid(table) is not None

    def create(self, table: str, columns: list[tuple[str, str, bool]], known_as: str) -> None:
        """Create a table of (name, type, required) columns for the name that it will be known as.

        From the start nobody may read it who may not read what is known by that name now.
        """
        cells = ", ".join(self._declared(known_as, *column) for column in columns)
        with self.transaction():
            self.run(f"CREATE TABLE {self.named(table)} ({cells})")
            if self.exists(known_as):
                replacing.give_privileges(self, known_as, table)

    def _declared(self, known_as: str, name: str, kind: str, required: bool) -> str:
        said = f"{pgsql.Identifier(name).as_string(self.connection)} {kind}"
        if not required:
            return said
        constraint = replacing.object_name(self._split(known_as)[1], name, "not_null")
        return f"{said} CONSTRAINT {pgsql.Identifier(constraint).as_string(self.connection)} NOT NULL"

    def add_key(self, table: str, key: tuple[str, ...]) -> None:
        """Make these columns the primary key."""
        names = ", ".join(pgsql.Identifier(name).as_string(self.connection) for name in key)
        self.run(f"ALTER TABLE {self.named(table)} ADD PRIMARY KEY ({names})")

    def rename(self, table: str, name: str) -> None:
        """Rename a table within its schema."""
        new = pgsql.Identifier(self._split(name)[1]).as_string(self.connection)
        self.run(f"ALTER TABLE {self.named(table)} RENAME TO {new}")

    def drop(self, table: str) -> None:
        """Drop a table if it is there; refused by the server where others depend on it."""
        self.run(f"DROP TABLE IF EXISTS {self.named(table)}")

    def lock(self, tables: Sequence[str], writer: Writer) -> None:
        """Within a transaction: keep everybody else from these tables until its end, once they let go of them."""
        lock_patiently(self, tables, Patience(writer, self._place.name, self._place.lock_wait_s))

    def patiently(self, writer: Writer, act: Callable[[], T]) -> T:
        """Run it: what others may hold is waited for in `lock`."""
        del writer
        return act()

    def guard_replace(self, table: str, waivers: Sequence[Waiver], key: Sequence[str]) -> list[Definition]:
        """What a replacement would lose, as it was waived; StepFailure where it would lose more."""
        carried = CARRIED | ({"primary_key"} if key else set())
        return replacing.guard(self, table, waivers, carried)

    def column_names(self, table: str) -> list[str]:
        """Names of the table's columns; none where it is not there."""
        found = self.rows(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = ? AND attnum > 0 AND NOT attisdropped",
            (self.oid(table),),
        )
        return [row[0] for row in found]

    def hold_still(self, table: str) -> None:
        """Lock out writers until the transaction ends; whoever only reads goes on."""
        patience = Patience(self.writer, self._place.name, self._place.lock_wait_s)
        lock_patiently(self, [table], patience, "SHARE ROW EXCLUSIVE")

    def traits(self, table: str) -> Traits | None:
        """The table or view of this name; None where there is none."""
        return postgresql_tables.traits(self.connection, self.oid(table), self.oid(PUBLICATION))

    def named_now(self, mark: str) -> str:
        """The name that the table of this mark has now, with its schema; "" where it is gone."""
        return postgresql_tables.named_now(self.connection, mark, self.oid(PUBLICATION))

    def row_sums(self, table: str) -> Iterator[Sequence[int]]:
        """A number for each row, by the text of its values."""
        return postgresql_tables.row_sums(self.connection, self.identifier(table))

    def settle(self, old: str, new: str) -> None:
        """Give the new table the privileges and the owner of the old one."""
        replacing.settle(self, old, new)

    def key_name(self, table: str) -> str:
        """Name of the table's primary key; "" where it has none."""
        return replacing.key_name(self, table)

    def name_key(self, table: str, wanted: str) -> None:
        """Give the table's primary key the wanted name, or its usual one where none is wanted."""
        replacing.name_key(self, table, wanted)
