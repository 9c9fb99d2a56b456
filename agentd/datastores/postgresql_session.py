"""One PostgreSQL connection as the ledger wants it: settings pinned, errors named, earlier writers ended.

The connection is named `haulier/ATTEMPT` to the server, and holds a session-level advisory lock per write target
while it writes. A successor finds whoever still holds it, by either, and terminates that backend: the server ends it
even while the client process is stopped or out of reach.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import sql as pgsql

from agentd.datastores import postgresql_replacing, postgresql_tables
from agentd.datastores.as_published import Traits
from agentd.datastores.definitions import CARRIED, Definition, Waiver
from agentd.datastores.failures import StepFailure
from agentd.datastores.patience import Patience
from agentd.datastores.port import PostgresqlPlace, Writer
from agentd.datastores.postgresql_locks import lock_patiently
from agentd.datastores.postgresql_replacing import IDENTIFIER_BYTES_MAX
from agentd.datastores.publications import PUBLICATION

T = TypeVar("T")

APPLICATION = "haulier"
CONNECT_S = 10
LOCK_S = 20.0
TERMINATE_S = 10.0
IDLE_IN_TRANSACTION_S = 60.0

# Text that crosses this connection has one spelling per value only under these settings.
_SETTINGS = {
    "timezone": "UTC",
    "datestyle": "ISO,YMD",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "search_path": "pg_catalog",
    "lock_timeout": str(int(LOCK_S * 1000)),
    "idle_in_transaction_session_timeout": str(int(IDLE_IN_TRANSACTION_S * 1000)),
    "synchronous_commit": "on",
    # Rows that a policy hides make a statement fail, instead of being missing from its answer.
    "row_security": "off",
}

_BY_SQLSTATE = {
    "28P01": ("authentication_failed", "Check the Datastore's user and the secret its passwordRef names.", False),
    "28000": ("authentication_failed", "Check the Datastore's user and pg_hba.conf.", False),
    "3D000": ("not_found", "Create the database or mend the Datastore.", False),
    "42501": ("permission_denied", "Grant the role what it lacks.", False),
    "42P01": ("not_found", "Check the Dataset's object and the Datastore's schema.", False),
    "3F000": ("not_found", "Create the schema or mend the Datastore.", False),
    "23505": ("key_not_unique", "The declared key names more than one row; mend the Dataset's key.", False),
    "23502": ("value_does_not_fit", "A required or key column holds NULL.", False),
    "2BP01": ("has_dependents", "Drop or repoint what depends on the table.", False),
    "53100": ("disk_full", "Free space on the database's host, then retry.", True),
    "53300": ("busy", "The server has no free connection slots.", True),
    "55P03": ("busy", "Another session holds the table; see pg_locks.", True),
    "57014": ("timeout", "The statement took too long.", True),
    "57P01": ("evicted", "A newer attempt or an administrator ended this session.", False),
    "25P03": ("evicted", "The session was idle inside a transaction for too long.", False),
    "40001": ("busy", "", True),
    "40P01": ("busy", "", True),
}


# The server's own name for where it refuses: its code is that of any missing privilege, and its words are translated.
_ROW_SECURITY_CHECK = "check_enable_rls"


def _rows_hidden(place: PostgresqlPlace, said: str) -> StepFailure:
    return StepFailure(
        "rows_hidden",
        f"datastore {place.name!r} (PostgreSQL): row security may hide rows from role {place.user!r}: {said}",
        f'Let the role see every row: ALTER ROLE "{place.user}" BYPASSRLS (for a view: the role that owns it), or make '
        "it the owner of a table whose row security is not forced. Then retry.",
    )


@contextmanager
def naming_errors(place: PostgresqlPlace) -> Iterator[None]:
    """Turn psycopg's errors into StepFailures without the password, whatever the server echoes."""
    try:
        yield
    except psycopg.Error as err:
        said = (err.diag.message_primary or str(err)).strip().replace("\n", " ")
        if place.password:
            said = said.replace(place.password, "***")
        state = err.sqlstate or ""
        if err.diag.source_function == _ROW_SECURITY_CHECK:
            raise _rows_hidden(place, said) from None
        lost = isinstance(err, psycopg.OperationalError) and not state
        default = ("connection_lost", "", True) if lost else ("engine_error", "", False)
        code, hint, retryable = _BY_SQLSTATE.get(state, default)
        raise StepFailure(code, f"datastore {place.name!r} (PostgreSQL): {said}", hint, retryable=retryable) from None


def _application(attempt_id: str) -> str:
    return f"{APPLICATION}/{attempt_id}"[:63]


@contextmanager
def connected(place: PostgresqlPlace, attempt_id: str = "") -> Iterator["PostgresqlSession"]:
    """A session on its own connection, closed at the end. Raises StepFailure where it cannot be had."""
    try:
        connection = psycopg.connect(
            host=place.host,
            port=place.port,
            dbname=place.database,
            user=place.user,
            password=place.password or None,
            sslmode=place.sslmode,
            # No file of passwords is looked into: a datastore gets its own secret or none.
            passfile="/dev/null/none",
            application_name=_application(attempt_id),
            client_encoding="UTF8",
            connect_timeout=CONNECT_S,
            keepalives_idle=15,
            keepalives_interval=5,
            keepalives_count=3,
            options=" ".join(f"-c {k}={v}" for k, v in _SETTINGS.items()),
            autocommit=True,
        )
    except psycopg.Error as err:
        raise _not_connected(err, place) from None
    try:
        with naming_errors(place):
            yield PostgresqlSession(connection, place)
    finally:
        connection.close()


# A connection that is refused carries no code, only the server's or libpq's words.
_REFUSALS = (
    ("authentication failed", "28P01"),
    ("no password supplied", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ("permission denied", "42501"),
    ('role "', "28000"),
    ('database "', "3D000"),
    ("too many", "53300"),
    ("remaining connection slots", "53300"),
)


def _not_connected(err: psycopg.Error, place: PostgresqlPlace) -> StepFailure:
    said = " ".join(str(err).split())
    if place.password:
        said = said.replace(place.password, "***")
    state = next((state for words, state in _REFUSALS if words in said), "")
    default = ("unreachable", "Check host, port and database, and that the server is up.", True)
    code, hint, retryable = _BY_SQLSTATE.get(state, default)
    where = f"{place.host}:{place.port} as {place.user!r}"
    message = f"datastore {place.name!r}: no connection to PostgreSQL at {where}: {said}"
    return StepFailure(code, message, hint, retryable=retryable)


class PostgresqlSession:
    """An `agentd.datastores.sql_session.SqlSession` in one schema."""

    def __init__(self, connection: psycopg.Connection[Any], place: PostgresqlPlace) -> None:
        self.connection = connection
        self._place = place
        # Who is told of waits; nobody until there is a writer.
        self.writer = Writer("", 0, "", "")
        self._schema = place.schema

    def work_in(self, found: str) -> None:
        """Keep the ledger and staging in the schema of this object, where renames can work."""
        self._schema = self._split(found)[0]

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
        """Create a table of (name, type, required) columns, with constraints named for the name it will have."""
        cells = ", ".join(self._declared(known_as, *column) for column in columns)
        self.run(f"CREATE TABLE {self.named(table)} ({cells})")

    def _declared(self, known_as: str, name: str, kind: str, required: bool) -> str:
        said = f"{pgsql.Identifier(name).as_string(self.connection)} {kind}"
        if not required:
            return said
        constraint = postgresql_replacing.object_name(self._split(known_as)[1], name, "not_null")
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
        return postgresql_replacing.guard(self, table, waivers, carried)

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
        postgresql_replacing.settle(self, old, new)

    def key_name(self, table: str) -> str:
        """Name of the table's primary key; "" where it has none."""
        return postgresql_replacing.key_name(self, table)

    def name_key(self, table: str, wanted: str) -> None:
        """Give the table's primary key the wanted name, or its usual one where none is wanted."""
        postgresql_replacing.name_key(self, table, wanted)

    def evict(self, writer: Writer) -> None:
        """Terminate the backends of earlier attempts and of whoever else holds this target's advisory lock; take
        it."""
        key = int.from_bytes(hashlib.blake2b(writer.target.encode(), digest_size=8).digest(), signed=True)
        names = [_application(attempt_id) for attempt_id in writer.evict if attempt_id != writer.attempt_id]
        self.rows(
            "SELECT pg_terminate_backend(a.pid, ?) FROM pg_stat_activity a WHERE a.pid <> pg_backend_pid() "
            "AND a.datname = current_database() AND (a.application_name = ANY(?) OR (starts_with("
            "a.application_name, ?) AND EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND "
            "l.locktype = 'advisory' AND l.database = (SELECT oid FROM pg_database WHERE "
            "datname = current_database()) AND l.objsubid = 1 AND "
            "((l.classid::bigint << 32) | l.objid::bigint) = ?)))",
            (int(TERMINATE_S * 1000), names, APPLICATION + "/", key),
        )
        if not self.rows("SELECT pg_try_advisory_lock(?)", (key,))[0][0]:
            raise StepFailure(
                "busy",
                f"another session still writes target {writer.target!r} and could not be ended",
                "It ends by itself once its connection drops; see pg_stat_activity.",
                retryable=True,
            )
