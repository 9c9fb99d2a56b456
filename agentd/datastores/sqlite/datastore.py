"""SQLite files as source and destination.

SQLite's types belong to values, not columns, so the Dataset declares columns and every value is checked against them; a
misfit is named by its rowid. What SQLite cannot hold (NaN, and the sign of -0.0 in a REAL column) is refused by name.

The library is the one that sqlite-utils picks, so that one process never has two copies of it. A source file is opened
read-only. Names of tables are resolved when queries run, so views go on working over a replaced table.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa

from agentd.datastores.fences import ledger
from agentd.datastores.fences.as_published import Content
from agentd.datastores.fences.eviction import holding
from agentd.datastores.forms.arrow_form import require_names, required_is_null
from agentd.datastores.forms.duplicate_keys import key_not_unique
from agentd.datastores.forms.text_cells import Unfit
from agentd.datastores.port.datastore import (
    Cells,
    Description,
    FenceRecord,
    Input,
    Location,
    Published,
    Removed,
    Undo,
    Writer,
    not_found,
)
from agentd.datastores.port.definitions import Definition
from agentd.datastores.port.failures import StepFailure, failed_running, naming_os_errors, require_file
from agentd.datastores.port.sharing import Sharing
from agentd.datastores.sqlite.definitions import definitions
from agentd.datastores.sqlite.failures import failed, said_by
from agentd.datastores.sqlite.place import SqlitePlace
from agentd.datastores.sqlite.session import TRY_S, SqliteSession, quoted, sqlite3
from agentd.datastores.sqlite.utf8 import fetched
from agentd.datastores.sqlite.values import SPELLED, from_values, to_values
from agentd.proof.types import Columns, arrow_schema

QUERY_TIMEOUT_S = 60.0
# How long whoever only reads waits for a writer in the middle of its commit; and before it is known who is stale.
READ_BUSY_S, PEEK_BUSY_S = 30.0, 0.2

# SQLite's authorizer codes: what a SELECT needs, and nothing else.
_SELECT, _READ, _FUNCTION, _RECURSIVE = 21, 20, 31, 33
_OK, _DENY = 0, 1


class SqliteDatastore:
    """One SQLite file; objects are its tables and views."""

    engine = "sqlite"

    def __init__(self, place: SqlitePlace) -> None:
        self._place = place

    @contextmanager
    def session(self, busy_s: float = READ_BUSY_S) -> Iterator[SqliteSession]:
        """A session that reads the file, and waits `busy_s` for whoever keeps readers out."""
        path = self._place.path
        if not path.exists():
            raise StepFailure(
                "not_found", f"datastore {self._place.name!r}: there is no file {path}", "Check the Datastore's path."
            )
        with self._closing(lambda: self._open_to_read(busy_s), reads=True) as session:
            yield session

    @contextmanager
    def session_to_write(self, writer: Writer) -> Iterator[SqliteSession]:
        """A session that writes the file, made where it is not there; nothing waits in it but `patiently`."""
        with self._closing(partial(self._connected, "rwc", TRY_S), reads=False) as session:
            session.patiently(writer, session.set_up)
            yield session

    @contextmanager
    def _closing(self, connect: Callable[[], Any], *, reads: bool) -> Iterator[SqliteSession]:
        require_file(self._place.path, self._place.name)
        connection = None
        try:
            connection = connect()
            yield SqliteSession(connection, self._place)
        except sqlite3.Error as err:
            met_a_journal = reads and _is_left_in_the_middle(err)
            raise (self._left_in_the_middle() if met_a_journal else failed(err, self._place)) from err
        finally:
            if connection is not None:
                connection.close()

    def _connected(self, mode: str, busy_s: float) -> Any:
        """A connection to read the file (`ro`), to write it (`rw`) or to create it too (`rwc`)."""
        address = f"file:{quote(str(self._place.path))}?mode={mode}"
        return sqlite3.connect(address, uri=True, timeout=busy_s, isolation_level=None)

    def _open_to_read(self, busy_s: float) -> Any:
        """A read-only connection, once what a killed writer left in the middle is rolled back.

        Until then the file is not readable by anybody. SQLite rolls it back at the next opening with write access,
        whoever opens; a read-only one cannot.
        """
        try:
            return self._looked("ro", busy_s)
        except sqlite3.OperationalError as err:
            if not _is_left_in_the_middle(err):
                raise
        self._looked("rw", busy_s).close()
        return self._looked("ro", busy_s)

    def _looked(self, mode: str, busy_s: float) -> Any:
        """A connection that has read the file's first page, and so found what a killed writer left."""
        connection = self._connected(mode, busy_s)
        try:
            SqliteSession(connection, self._place).set_up()
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            # Nobody has the connection yet who could close it.
            connection.close()
            raise
        return connection

    def _left_in_the_middle(self) -> StepFailure:
        return StepFailure(
            "busy",
            f"datastore {self._place.name!r} (SQLite): a writer was killed in the middle of a transaction",
            "The next opening with write access rolls it back; give the agent's user write access to the file.",
            retryable=True,
        )

    def check(self) -> None:
        """The file opens as SQLite, or its directory is there for it to be created in."""
        if self._place.path.exists():
            with self.session() as session:
                session.rows("SELECT count(*) FROM sqlite_master")
        elif not self._place.path.parent.is_dir():
            raise StepFailure(
                "not_found",
                f"datastore {self._place.name!r}: there is no directory {self._place.path.parent}",
                "Create it or mend the Datastore's path.",
            )

    def objects(self) -> list[str]:
        """Tables and views that are not Haulier's or SQLite's own."""
        with self.session() as session:
            return self.tables(session)

    def tables(self, session: SqliteSession) -> list[str]:
        """Tables and views that are not Haulier's or SQLite's own."""
        found = session.rows(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' "
            "AND name NOT LIKE 'haulier\\_%' ESCAPE '\\' ORDER BY name LIMIT 1000"
        )
        return [row[0] for row in found]

    def describe(self, location: Location) -> Description:
        """The declared columns, seen to be the table's; its key; the highest rowid as estimate."""
        with self.session() as session:
            found = self._names(session, location.object)
            if not location.columns:
                raise StepFailure(
                    "columns_not_declared",
                    f"{self._place.name}:{location.object}: SQLite values have types of their own, and the Dataset "
                    "declares no columns",
                    "Declare the columns; `haulier inspect` proposes them.",
                )
            require_names([n for n, _ in found], location.columns, f"{self._place.name}:{location.object}")
            key = tuple(n for n, place in sorted(found, key=lambda c: c[1]) if place)
            estimate = 0
            if self._has_rowid(session, location.object):
                estimate = session.rows(f"SELECT max(rowid) FROM {quoted(location.object)}")[0][0] or 0
            return Description(location.columns, key, max(0, int(estimate)))

    def _names(self, session: SqliteSession, table: str) -> list[tuple[str, int]]:
        """(name, place in the key from 1, or 0) of each column."""
        if not session.exists(table):
            raise not_found(self._place.name, table, self.tables(session))
        rows = session.rows("SELECT name, pk FROM pragma_table_xinfo(?) WHERE hidden <> 1", (table,))
        return [(row[0], int(row[1])) for row in rows]

    def _has_rowid(self, session: SqliteSession, table: str) -> bool:
        found = session.rows("SELECT type, wr FROM pragma_table_list(?) WHERE schema = 'main'", (table,))
        return bool(found) and found[0][0] == "table" and not found[0][1]

    def definitions(self, location: Location) -> list[Definition]:
        """What hangs on the table or view, with the types that say more than the declared ones."""
        with self.session() as session:
            self._names(session, location.object)
            return definitions(session, location.object, location.columns)

    def read(self, location: Location, columns: Columns) -> Iterator[pa.RecordBatch]:
        """All rows of one SELECT, which is one snapshot."""
        with self.session() as session:
            yield from self._rows(session, location.object, columns)

    def _rows(self, session: SqliteSession, table: str, columns: Columns) -> Iterator[pa.RecordBatch]:
        place = f"{self._place.name}:{table}"
        require_names([n for n, _ in self._names(session, table)], columns, place)
        rowid = self._has_rowid(session, table)
        names = ", ".join(quoted(c.name) for c in columns)
        chosen = ("rowid, " if rowid else "NULL, ") + names
        statement = f"SELECT {chosen} FROM {quoted(table)}"
        cursor = session.connection.execute(statement)
        done = 0
        while rows := fetched(cursor, statement, columns, place):
            rowids, *values = zip(*rows, strict=True)
            yield self._batch(values, columns, place, rowids if rowid else None, done)
            done += len(rows)

    def _batch(
        self, values: Sequence[Sequence[Any]], columns: Columns, place: str, rowids: Sequence[int] | None, done: int
    ) -> pa.RecordBatch:
        arrays = []
        for cells, column in zip(values, columns, strict=True):
            try:
                found = from_values(cells, column)
            except Unfit as err:
                where = f"rowid {rowids[err.index]}" if rowids else f"row {done + err.index + 1}"
                raise StepFailure(
                    "value_does_not_fit",
                    f"{place}: {where}, column {column.name!r}: {err.why}",
                    "Its digits are shown as 9 and its letters as a. Mend the value, or declare the type that the "
                    "column really holds.",
                ) from err
            if column.required and found.null_count:
                index = cells.index(None)
                where = f"rowid {rowids[index]}" if rowids else f"row {done + index + 1}"
                raise required_is_null(place, column, where)
            arrays.append(found)
        return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns))

    @contextmanager
    def _writing(self, writer: Writer) -> Iterator[SqliteSession]:
        sharing = Sharing(self._place.name, self._place.file_mode, self._place.group)
        with naming_os_errors(f"opening datastore {self._place.name!r}", self._place.path), sharing.applied():
            path = self._place.path
            if not path.parent.is_dir():
                self.check()
            if path.exists():
                self._require_not_stale(writer)
            is_new = not path.exists()
            with holding(path, writer), self.session_to_write(writer) as session:
                if is_new:
                    sharing.settle(path)
                yield session

    def _require_not_stale(self, writer: Writer) -> None:
        """Read the fence before evicting anyone, as far as the file can be read past a stopped holder."""
        try:
            with self.session(PEEK_BUSY_S) as session:
                ledger.require_not_stale(session, writer)
        except StepFailure as err:
            # A holder in the middle of its commit keeps readers out; the claim after its eviction decides.
            if err.code not in ("busy", "engine_error", "permission_denied"):
                raise

    def publish(
        self, location: Location, writer: Writer, source: Input, batches: Iterator[pa.RecordBatch]
    ) -> Published:
        """Insert into a staging table, then swap it in behind the fence."""
        with self._writing(writer) as session:
            session.patiently(writer, lambda: ledger.claim(session, writer, ledger.staging_of(writer)))

            def stage(staging: str) -> int:
                return self._stage(session, location, writer, source, staging, batches)

            return ledger.stage_and_publish(session, location, writer, source, stage, self._content(session))

    def _content(self, session: SqliteSession) -> Content:
        return lambda table, columns: self._rows(session, table, columns)

    def _stage(
        self,
        session: SqliteSession,
        location: Location,
        writer: Writer,
        source: Input,
        staging: str,
        batches: Iterator[pa.RecordBatch],
    ) -> int:
        cells = [
            f"{quoted(c.name)} {SPELLED[c.type]}{' NOT NULL' if c.required or c.name in location.key else ''}"
            for c in source.columns
        ]
        if location.key:
            cells.append(f"PRIMARY KEY ({', '.join(map(quoted, location.key))})")
        session.patiently(writer, lambda: session.drop(staging))
        create = f"CREATE TABLE {quoted(staging)} ({', '.join(cells)})"
        session.patiently(writer, lambda: session.run(create))
        marks = ", ".join("?" for _ in source.columns)
        insert = f"INSERT INTO {quoted(staging)} VALUES ({marks})"
        rows = 0
        for batch in batches:
            writer.check_cancelled()
            values = list(self._values(batch, source.columns, location, rows))
            try:
                session.patiently(writer, partial(_insert, session, insert, values))
            except sqlite3.IntegrityError as err:
                if "UNIQUE constraint" not in str(err):
                    raise
                raise self._doubled(session, staging, location, batch, source.columns) from None
            rows += batch.num_rows
            writer.progress(rows)
        return rows

    def _doubled(
        self, session: SqliteSession, staging: str, location: Location, batch: pa.RecordBatch, columns: Columns
    ) -> StepFailure:
        """Failure that tells the shape of the first key that is in the batch twice, or in an earlier one."""
        own = [columns[[c.name for c in columns].index(name)] for name in location.key]
        where = " AND ".join(f"{quoted(name)} = ?" for name in location.key)
        seen: set[tuple[Any, ...]] = set()
        for key in self._values(batch, tuple(own), location, 0):
            if key in seen or session.rows(f"SELECT 1 FROM {quoted(staging)} WHERE {where}", key):
                return key_not_unique(f"{self._place.name}:{location.object}", location.key, key)
            seen.add(key)
        return key_not_unique(f"{self._place.name}:{location.object}", location.key)

    def _values(
        self, batch: pa.RecordBatch, columns: Columns, location: Location, done: int
    ) -> Iterator[tuple[Any, ...]]:
        values = []
        for column in columns:
            try:
                values.append(to_values(batch.column(column.name), column))
            except Unfit as err:
                raise StepFailure(
                    "value_does_not_fit",
                    f"{self._place.name}:{location.object}: row {done + err.index + 1}, "
                    f"column {column.name!r}: {err.why}",
                    "Mend it in a transform.",
                ) from err
        return zip(*values, strict=True)

    def adopt(self, location: Location, writer: Writer, source: Input) -> Published | None:
        """Put our fence on this migration's own earlier publish of the same input, if it is what is there."""
        with self._writing(writer) as session:
            session.patiently(writer, lambda: ledger.claim(session, writer))
            return session.patiently(writer, lambda: ledger.adopt(session, location, writer, source))

    def withdraw(self, location: Location, writer: Writer, undo: Undo) -> None:
        """Raise the fence; put the kept table back, or drop ours."""
        with self._writing(writer) as session:
            session.patiently(writer, lambda: ledger.claim(session, writer))
            session.patiently(writer, lambda: ledger.withdraw(session, location, writer, undo, self._content(session)))

    def drop_former(self, location: Location, writer: Writer) -> Removed:
        """Raise the fence; drop the kept table. The file keeps its size: its pages are used again."""
        del location
        with self._writing(writer) as session:
            session.patiently(writer, lambda: ledger.claim(session, writer))
            return ledger.drop_former(session, writer)

    def read_fence(self, location: Location, target: str) -> FenceRecord | None:
        """The ledger's record for the target."""
        if not self._place.path.exists():
            return None
        with self.session() as session:
            return ledger.read_record(session, target, location.object)

    def query(self, location: Location, columns: Columns, sql: str, scratch: Path) -> list[Cells]:
        """One SELECT, read-only, with an authorizer that allows nothing but reading this file, and a time limit."""
        del location, columns, scratch
        with self.session() as session:
            connection = session.connection
            deadline = time.monotonic() + QUERY_TIMEOUT_S
            connection.set_progress_handler(lambda: int(time.monotonic() > deadline), 100_000)
            connection.set_authorizer(_only_reads)
            prepared = False
            try:
                connection.execute(f"EXPLAIN {sql}").fetchall()
                prepared = True
                rows = connection.execute(sql).fetchall()
            except (sqlite3.Error, sqlite3.Warning, ValueError) as err:
                if "interrupted" in str(err):
                    raise StepFailure(
                        "timeout", f"the query took over {QUERY_TIMEOUT_S:.0f} s", "Ask for less."
                    ) from err
                if prepared:
                    raise failed_running(type(err).__name__) from err
                raise StepFailure(
                    "bad_sql", f"the query was refused: {said_by(err)}", "It must be one SELECT of this file."
                ) from err
            return [[_cell(value) for value in row] for row in rows]


def _insert(session: SqliteSession, statement: str, values: list[tuple[Any, ...]]) -> None:
    with session.transaction():
        session.connection.executemany(statement, values)


def _is_left_in_the_middle(err: Exception) -> bool:
    """Whether a read-only session met the journal of a writer that lives no more.

    A read that must write means nothing else (SQLITE_READONLY_ROLLBACK and _RECOVERY in https://sqlite.org/rescode.html;
    pysqlite3 tells the first half of the code only).
    """
    return str(getattr(err, "sqlite_errorname", "")).startswith("SQLITE_READONLY")


def _only_reads(action: int, first: str | None, second: str | None, *_: object) -> int:
    del first
    if action == _FUNCTION:
        return _DENY if (second or "").lower() == "load_extension" else _OK
    return _OK if action in (_SELECT, _READ, _RECURSIVE) else _DENY


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return "\\x" + value.hex() if isinstance(value, bytes) else repr(value)
