"""DuckDB files as source and destination, Arrow in and out.

One process at a time may write a DuckDB file, and none may read it meanwhile: whoever comes second waits, for a bounded
time. A *stopped* earlier attempt would never let go, so its successor ends it first (`eviction`).
"""

import errno
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from agentd.datastores.duckdb import tables
from agentd.datastores.duckdb.definitions import BY_NAME, HOLDING, definitions
from agentd.datastores.duckdb.place import DuckdbPlace
from agentd.datastores.duckdb.words import of_duckdb
from agentd.datastores.fences import ledger
from agentd.datastores.fences.as_published import Content, Traits
from agentd.datastores.fences.eviction import OWN_DIRECTORY, holding
from agentd.datastores.forms.arrow_form import conformed
from agentd.datastores.forms.duckdb_types import logical, spelled
from agentd.datastores.port.datastore import (
    BATCH_ROWS,
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
from agentd.datastores.port.definitions import CARRIED, NEVER_WAIVED, Definition, Waiver, in_order, require_waived
from agentd.datastores.port.failures import FILE_TOO_LARGE, StepFailure, naming_os_errors, no_room, require_file
from agentd.datastores.port.sharing import Sharing
from agentd.datastores.sql.locked_sql import bad_sql, harden, quoted, single_select, text_rows
from agentd.datastores.waiting.patience import Holder, Patience
from agentd.disk import durable
from agentd.proof.types import Columns, ColumnType

T = TypeVar("T")

WAIT_S = 120.0
_NOBODY = Writer("", 0, "", "")
MEMORY = "768MB"
_STAGED_ROWS = 122_880  # DuckDB's row group
_INFINITE_DAY, _INFINITE_US = 2**31 - 1, 2**63 - 1


class DuckdbSession:
    """An `agentd.datastores.fences.sql_session.SqlSession` over one connection."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection

    def run(self, sql: str, params: Sequence[object] = ()) -> int:
        """Execute and return the number of rows changed, 0 for statements that change none."""
        found = self.connection.execute(sql, list(params)).fetchone()
        return int(found[0]) if found and isinstance(found[0], int) else 0

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return list(self.connection.execute(sql, list(params)).fetchall())

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction that commits at the end and rolls back on any exception."""
        self.connection.begin()
        try:
            yield
        except BaseException:
            # Whatever ends the transaction early, an interrupt too, leaves nothing of it.
            self.connection.rollback()
            raise
        self.connection.commit()

    def make_tables_alone(self) -> None:
        """DuckDB needs nothing: its process is the only writer."""

    def named(self, table: str) -> str:
        """The table's quoted name in the main schema."""
        return f"main.{quoted(table)}"

    def _kind(self, table: str) -> str | None:
        found = self.rows(
            "SELECT 'table' FROM duckdb_tables() WHERE schema_name = 'main' AND lower(table_name) = lower(?) "
            "AND NOT temporary UNION ALL SELECT 'view' FROM duckdb_views() WHERE schema_name = 'main' "
            "AND lower(view_name) = lower(?) AND NOT internal",
            (table, table),
        )
        return found[0][0] if found else None

    def exists(self, table: str) -> bool:
        """Whether a table or view of this name is there."""
        return self._kind(table) is not None

    def rename(self, table: str, name: str) -> None:
        """Rename a table."""
        self.run(f"ALTER TABLE {self.named(table)} RENAME TO {quoted(name)}")

    def drop(self, table: str) -> None:
        """Drop a table if it is there."""
        self.run(f"DROP TABLE IF EXISTS {self.named(table)}")

    def lock(self, tables: Sequence[str], writer: Writer) -> None:
        """DuckDB needs nothing: its process is the only one that has the file."""

    def patiently(self, writer: Writer, act: Callable[[], T]) -> T:
        """Run it: whoever has the file is waited for when it is opened."""
        del writer
        return act()

    def key_name(self, table: str) -> str:
        """DuckDB names keys by itself."""
        del table
        return ""

    def name_key(self, table: str, wanted: str) -> None:
        """DuckDB names keys by itself."""

    def guard_replace(self, table: str, waivers: Sequence[Waiver], key: Sequence[str]) -> list[Definition]:
        """What a replacement would lose, as it was waived. Views refer to the table by name and go on doing so."""
        if self._kind(table) != "table":
            raise StepFailure(
                "cannot_replace", f"{table!r} is a view, so it cannot be replaced", "Choose another object."
            )
        del key  # Tables that Haulier makes here have none.
        return require_waived(table, definitions(self, table), waivers, CARRIED | BY_NAME, NEVER_WAIVED | HOLDING)

    def column_names(self, table: str) -> list[str]:
        """Names of the table's columns; none where it is not there."""
        found = self.rows(
            "SELECT column_name FROM duckdb_columns() WHERE schema_name = 'main' AND lower(table_name) = lower(?)",
            (table,),
        )
        return [row[0] for row in found]

    def hold_still(self, table: str) -> None:
        """DuckDB needs nothing: its process is the only writer."""

    def traits(self, table: str) -> Traits | None:
        """The table or view of this name; None where there is none."""
        return tables.traits(self.connection, table, self._kind(table))

    def named_now(self, mark: str) -> str:
        """DuckDB has no marks."""
        del mark
        return ""

    def row_sums(self, table: str) -> Iterator[Sequence[int]]:
        """A number for each row, by the text of its values."""
        return tables.row_sums(self.connection, self.named(table))

    def settle(self, old: str, new: str) -> None:
        """DuckDB has no grants."""


class DuckdbDatastore:
    """One DuckDB file; objects are tables and views of its main schema."""

    engine = "duckdb"

    def __init__(self, place: DuckdbPlace) -> None:
        self._place = place

    @contextmanager
    def _connected(self, read_only: bool, writer: Writer | None = None) -> Iterator[DuckdbSession]:
        if read_only and not self._place.path.exists():
            raise StepFailure(
                "not_found",
                f"datastore {self._place.name!r}: there is no file {self._place.path}",
                "Check the Datastore's path.",
            )
        connection = self._open(read_only, writer)
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"SET memory_limit = '{MEMORY}'")
            connection.execute("SET autoinstall_known_extensions = false")
            connection.execute("SET autoload_known_extensions = false")
            yield DuckdbSession(connection)
        except duckdb.Error as err:
            raise self._named(err) from err
        finally:
            connection.close()

    def _open(self, read_only: bool, writer: Writer | None) -> duckdb.DuckDBPyConnection:
        """Open the file once no other process has it: a writer waits up to the Datastore's bound, a reader WAIT_S."""
        require_file(self._place.path, self._place.name)
        bound_s = WAIT_S if writer is None else self._place.lock_wait_s
        # A try hinders nobody here, so pauses are short.
        patience = Patience(writer or _NOBODY, self._place.name, bound_s, pause_s=0.02, pause_max_s=0.5)
        while True:
            try:
                return duckdb.connect(str(self._place.path), read_only=read_only)
            except duckdb.IOException as err:
                holder = re.search(r"Conflicting lock is held in (.*?\(PID \d+\)|PID \d+)", str(err))
                if holder is None:
                    raise self._named(err) from err
                found = Holder(
                    holder[1], None, "A DuckDB file has one process at a time: end that one, or wait for it."
                )
            except duckdb.Error as err:
                raise self._named(err) from err
            patience.bear(f"the lock on {self._place.path}", [found])

    def _named(self, err: duckdb.Error) -> StepFailure:
        said = of_duckdb(err)
        lowered = said.lower()
        place = f"datastore {self._place.name!r} (DuckDB)"
        if "no space left" in lowered:
            return no_room(place, self._place.path)
        for mark, code, hint, retryable in (
            ("file too large", *FILE_TOO_LARGE),
            ("not a valid duckdb", "corrupt_file", "Check the Datastore's path.", False),
            ("permission denied", "permission_denied", "Give the agent's user access to the file.", False),
            ("not null constraint", "value_does_not_fit", "A required column holds NULL.", False),
            ("dependency error", "has_dependents", "Drop what depends on the table, then retry.", False),
            ("out of memory", "out_of_memory", "The statement needs more memory than it may have.", True),
        ):
            if mark in lowered:
                return StepFailure(code, f"{place}: {said}", hint, retryable=retryable)
        return StepFailure("engine_error", f"{place}: {said}")

    def check(self) -> None:
        """The file opens as DuckDB, or its directory is there for it to be created in."""
        if self._place.path.exists():
            with self._connected(True) as session:
                session.rows("SELECT 1")
        elif not self._place.path.parent.is_dir():
            raise StepFailure(
                "not_found",
                f"datastore {self._place.name!r}: there is no directory {self._place.path.parent}",
                "Create it or mend the Datastore's path.",
            )

    def objects(self) -> list[str]:
        """Tables and views of the main schema that are not Haulier's own."""
        with self._connected(True) as session:
            return self._objects(session)

    def _objects(self, session: DuckdbSession) -> list[str]:
        found = session.rows(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main' "
            "AND NOT starts_with(table_name, 'haulier_') ORDER BY 1 LIMIT 1000"
        )
        return [row[0] for row in found]

    def describe(self, location: Location) -> Description:
        """Columns by the catalogue, primary key, and the catalogue's row count."""
        with self._connected(True) as session:
            return self._describe(session, location)

    def _describe(self, session: DuckdbSession, location: Location) -> Description:
        place = f"{self._place.name}:{location.object}"
        if not session.exists(location.object):
            raise not_found(self._place.name, location.object, self._objects(session))
        rows = session.rows(
            "SELECT column_name, data_type, NOT is_nullable FROM duckdb_columns() WHERE schema_name = 'main' "
            "AND lower(table_name) = lower(?) ORDER BY column_index",
            (location.object,),
        )
        columns = tuple(logical(name, kind, required, place) for name, kind, required in rows)
        key = session.rows(
            "SELECT unnest(constraint_column_names) FROM duckdb_constraints() WHERE schema_name = 'main' "
            "AND lower(table_name) = lower(?) AND constraint_type = 'PRIMARY KEY'",
            (location.object,),
        )
        estimate = session.rows(
            "SELECT estimated_size FROM duckdb_tables() WHERE schema_name = 'main' AND lower(table_name) = lower(?)",
            (location.object,),
        )
        return Description(columns, tuple(row[0] for row in key), int(estimate[0][0]) if estimate else 0)

    def definitions(self, location: Location) -> list[Definition]:
        """What hangs on the table or view, with the types that a logical one says less than."""
        with self._connected(True) as session:
            described = {c.name: spelled(c) for c in self._describe(session, location).columns}
            types = [
                Definition("type", f"{name}: {kind}")
                for name, kind in session.rows(
                    "SELECT column_name, data_type FROM duckdb_columns() WHERE schema_name = 'main' "
                    "AND lower(table_name) = lower(?)",
                    (location.object,),
                )
                if kind != described[name]
            ]
            return in_order([*definitions(session, location.object), *types])

    def read(self, location: Location, columns: Columns) -> Iterator[pa.RecordBatch]:
        """All rows of one SELECT, streamed as Arrow."""
        with self._connected(True) as session:
            self._describe(session, location)
            yield from self._rows(session, location.object, columns)

    def _rows(self, session: DuckdbSession, table: str, columns: Columns) -> Iterator[pa.RecordBatch]:
        place = f"{self._place.name}:{table}"
        reader = session.connection.execute(f"SELECT * FROM {session.named(table)}").to_arrow_reader(BATCH_ROWS)
        done = 0
        for batch in conformed(reader, columns, place):
            _require_finite(batch, columns, place, done)
            yield batch
            done += batch.num_rows

    @contextmanager
    def _writing(self, writer: Writer) -> Iterator[DuckdbSession]:
        sharing = Sharing(self._place.name, self._place.file_mode, self._place.group)
        with naming_os_errors(f"opening datastore {self._place.name!r}", self._place.path), sharing.applied():
            path = self._place.path
            if not path.parent.is_dir():
                self.check()
            # Nobody can read the file past a holder, so who is stale is known only after the eviction. Holder records
            # carry fences of the target, and `holding` never ends a holder with a higher one.
            with holding(path, writer):
                if not path.exists():
                    self._create(path.parent / OWN_DIRECTORY / f"{path.name}.{os.getpid()}.new")
                    sharing.settle(path)
                with self._connected(False, writer) as session:
                    yield session

    def _create(self, fresh: Path) -> None:
        """Make the database file whole or not at all.

        DuckDB writes a new file in several steps, and what a kill or a full disk leaves of it never opens again.
        """
        fresh.unlink(missing_ok=True)
        try:
            duckdb.connect(str(fresh)).close()
            durable.sync(fresh)
            durable.link(fresh, self._place.path)
        except duckdb.Error as err:
            raise self._named(err) from err
        except FileExistsError:
            # Somebody else was first; theirs is as good.
            return
        except OSError as err:
            # Where there are no hard links, it is made in place.
            if err.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                raise
        finally:
            fresh.unlink(missing_ok=True)

    def publish(
        self, location: Location, writer: Writer, source: Input, batches: Iterator[pa.RecordBatch]
    ) -> Published:
        """Insert into a staging table, then swap it in behind the fence."""
        with self._writing(writer) as session:
            ledger.claim(session, writer, ledger.staging_of(writer))

            def stage(staging: str) -> int:
                return self._stage(session, writer, source, staging, batches)

            return ledger.stage_and_publish(session, location, writer, source, stage, self._content(session))

    def _content(self, session: DuckdbSession) -> Content:
        return lambda table, columns: self._rows(session, table, columns)

    def _stage(
        self,
        session: DuckdbSession,
        writer: Writer,
        source: Input,
        staging: str,
        batches: Iterator[pa.RecordBatch],
    ) -> int:
        cells = ", ".join(f"{quoted(c.name)} {spelled(c)}{' NOT NULL' if c.required else ''}" for c in source.columns)
        session.drop(staging)
        rows = 0
        with session.transaction():
            session.run(f"CREATE TABLE {session.named(staging)} ({cells})")
            held: list[pa.RecordBatch] = []
            for batch in batches:
                writer.check_cancelled()
                held.append(batch)
                rows += batch.num_rows
                if sum(b.num_rows for b in held) >= _STAGED_ROWS or sum(b.nbytes for b in held) > 64 * 1024 * 1024:
                    _insert(session, staging, held)
                    held = []
                writer.progress(rows)
            if held:
                _insert(session, staging, held)
        return rows

    def adopt(self, location: Location, writer: Writer, source: Input) -> Published | None:
        """Put our fence on this migration's own earlier publish of the same input, if it is what is there."""
        with self._writing(writer) as session:
            ledger.claim(session, writer)
            return ledger.adopt(session, location, writer, source)

    def withdraw(self, location: Location, writer: Writer, undo: Undo) -> None:
        """Raise the fence; put the kept table back, or drop ours."""
        with self._writing(writer) as session:
            ledger.claim(session, writer)
            ledger.withdraw(session, location, writer, undo, self._content(session))

    def drop_former(self, location: Location, writer: Writer) -> Removed:
        """Raise the fence; drop the kept table. The file keeps its size: its pages are used again."""
        del location
        with self._writing(writer) as session:
            ledger.claim(session, writer)
            return ledger.drop_former(session, writer)

    def read_fence(self, location: Location, target: str) -> FenceRecord | None:
        """The ledger's record for the target."""
        if not self._place.path.exists():
            return None
        with self._connected(True) as session:
            return ledger.read_record(session, target, location.object)

    def query(self, location: Location, columns: Columns, sql: str, scratch: Path) -> list[Cells]:
        """One SELECT on a read-only connection with every other way shut."""
        del location, columns
        statement = single_select(sql)
        with self._connected(True) as session:
            harden(session.connection, scratch, [])
            try:
                return text_rows(session.connection, statement)
            except duckdb.Error as err:
                raise bad_sql(err) from err


def _insert(session: DuckdbSession, staging: str, held: list[pa.RecordBatch]) -> None:
    session.connection.register("haulier_incoming", pa.Table.from_batches(held))
    session.run(f"INSERT INTO {session.named(staging)} SELECT * FROM haulier_incoming")
    session.connection.unregister("haulier_incoming")


def _require_finite(batch: pa.RecordBatch, columns: Columns, place: str, done: int) -> None:
    """Refuse DuckDB's infinite dates and timestamps, which no other engine's range holds as such."""
    for column in columns:
        if column.type is ColumnType.DATE:
            raw, bound = batch.column(column.name).cast(pa.int32()), _INFINITE_DAY
        elif column.type in (ColumnType.TIMESTAMP, ColumnType.TIMESTAMPTZ):
            raw, bound = batch.column(column.name).cast(pa.int64()), _INFINITE_US
        else:
            continue
        infinite = pc.or_(pc.equal(raw, bound), pc.equal(raw, -bound))
        index = pc.index(infinite, True).as_py()
        if index >= 0:
            raise StepFailure(
                "value_does_not_fit",
                f"{place}: row {done + index + 1}, column {column.name!r}: an infinite {column.spelled()}",
                "Replace it by NULL or a real day at the source.",
            )
