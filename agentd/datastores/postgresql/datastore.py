"""PostgreSQL as source and destination, through COPY and Arrow's CSV reader: no Python object per value.

Rows travel as COPY's CSV with every value quoted, so that NULL (nothing) and the empty text ("") differ. The session
pins every setting that text depends on (UTC, ISO dates, shortest exact floats, hex bytes). One COPY is one snapshot.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
from psycopg import sql as pgsql

from agentd.datastores.fences import ledger
from agentd.datastores.fences.as_published import Content
from agentd.datastores.forms.copy_text import copied_batches, copy_lines
from agentd.datastores.forms.duplicate_keys import key_not_unique
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
from agentd.datastores.port.definitions import Definition, in_order
from agentd.datastores.port.failures import StepFailure, failed_running, refused_type
from agentd.datastores.postgresql.definitions import definitions
from agentd.datastores.postgresql.eviction import evict
from agentd.datastores.postgresql.place import PostgresqlPlace
from agentd.datastores.postgresql.privileges import require_privileges, require_writable
from agentd.datastores.postgresql.replacing import IDENTIFIER_BYTES_MAX
from agentd.datastores.postgresql.roles import require_ordinary_role
from agentd.datastores.postgresql.session import PostgresqlSession, connected
from agentd.datastores.postgresql.writing import writing
from agentd.proof.types import SUPPORTED, Column, Columns, ColumnType

QUERY_TIMEOUT_S = 60.0

_TYPES = {
    "boolean": ColumnType.BOOL,
    "smallint": ColumnType.INT64,
    "integer": ColumnType.INT64,
    "bigint": ColumnType.INT64,
    "real": ColumnType.FLOAT64,
    "double precision": ColumnType.FLOAT64,
    "text": ColumnType.TEXT,
    "character varying": ColumnType.TEXT,
    "bytea": ColumnType.BYTES,
    "date": ColumnType.DATE,
    "timestamp without time zone": ColumnType.TIMESTAMP,
    "timestamp with time zone": ColumnType.TIMESTAMPTZ,
}
_SPELLED = {
    ColumnType.BOOL: "boolean",
    ColumnType.INT64: "bigint",
    ColumnType.FLOAT64: "double precision",
    ColumnType.TEXT: "text",
    ColumnType.BYTES: "bytea",
    ColumnType.DATE: "date",
    ColumnType.TIMESTAMP: "timestamp without time zone",
    ColumnType.TIMESTAMPTZ: "timestamp with time zone",
}


def spelled(column: Column) -> str:
    """The PostgreSQL type of a column that Haulier creates."""
    if column.type is ColumnType.DECIMAL:
        return f"numeric({column.precision},{column.scale})"
    return _SPELLED[column.type]


class PostgresqlDatastore:
    """One database; objects are tables (and, to read, views) of the place's schema, or `schema.table`."""

    engine = "postgresql"

    def __init__(self, place: PostgresqlPlace, attempt_id: str = "") -> None:
        self._place = place
        self._attempt_id = attempt_id

    def check(self) -> None:
        """Log in, see the schema, and refuse roles that could leave the database: superusers and server-file
        roles."""
        with connected(self._place, self._attempt_id) as session:
            require_ordinary_role(session, self._place)

    def objects(self) -> list[str]:
        """Tables and views of the schema that are not Haulier's own."""
        with connected(self._place, self._attempt_id) as session:
            return self._objects(session)

    def _objects(self, session: PostgresqlSession) -> list[str]:
        found = session.rows(
            "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ? "
            "AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT starts_with(c.relname, 'haulier_') "
            "ORDER BY 1 LIMIT 1000",
            (self._place.schema,),
        )
        return [row[0] for row in found]

    def describe(self, location: Location) -> Description:
        """Columns by the catalogue, primary key, and the planner's row estimate."""
        with connected(self._place, self._attempt_id) as session:
            return self._describe(session, location)

    def _describe(self, session: PostgresqlSession, location: Location) -> Description:
        oid = session.oid(location.object)
        if oid is None:
            raise not_found(self._place.name, location.object, self._objects(session))
        rows = session.rows(
            "SELECT attname, format_type(atttypid, NULL), atttypmod, attnotnull FROM pg_attribute "
            "WHERE attrelid = ? AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (oid,),
        )
        declared = {c.name: c for c in location.columns}
        columns = tuple(self._column(location, declared, *row) for row in rows)
        key = session.rows(
            "SELECT a.attname FROM pg_index i CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k(attnum, place) "
            "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum "
            "WHERE i.indrelid = ? AND i.indisprimary ORDER BY k.place",
            (oid,),
        )
        estimate = session.rows("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = ?", (oid,))
        return Description(columns, tuple(row[0] for row in key), int(estimate[0][0]))

    def _column(
        self, location: Location, declared: dict[str, Column], name: str, kind: str, modifier: int, required: bool
    ) -> Column:
        place = f"{self._place.name}:{location.object}"
        if kind == "numeric":
            if modifier >= 4:
                precision, scale = (modifier - 4) >> 16, (modifier - 4) & 0x7FF
                if precision <= 38 and scale <= precision:
                    return Column(name, ColumnType.DECIMAL, precision, scale, required)
                raise refused_type("PostgreSQL", place, name, f"numeric({precision},{scale})", SUPPORTED)
            wanted = declared.get(name)
            if wanted is not None and wanted.type is ColumnType.DECIMAL:
                return Column(name, ColumnType.DECIMAL, wanted.precision, wanted.scale, required)
            raise StepFailure(
                "unsupported_type",
                f"{place}: column {name!r} is numeric without precision",
                "Declare the Dataset's columns with decimal precision and scale; every value is checked against them.",
            )
        if kind not in _TYPES:
            raise refused_type("PostgreSQL", place, name, kind, SUPPORTED)
        return Column(name, _TYPES[kind], required=required)

    def definitions(self, location: Location) -> list[Definition]:
        """What hangs on the table or view by the catalogue, with the types that a logical one says less than."""
        with connected(self._place, self._attempt_id) as session:
            oid = session.oid(location.object)
            if oid is None:
                raise not_found(self._place.name, location.object, self._objects(session))
            canonical = {c.name: spelled(c) for c in self._describe(session, location).columns}
            types = session.rows(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
                "WHERE attrelid = ? AND attnum > 0 AND NOT attisdropped",
                (oid,),
            )
            own = [Definition("type", f"{name}: {kind}") for name, kind in types if kind != canonical[name]]
            return in_order([*definitions(session, oid), *own])

    def read(self, location: Location, columns: Columns) -> Iterator[pa.RecordBatch]:
        """Every row through one COPY, which is one snapshot."""
        with connected(self._place, self._attempt_id) as session:
            yield from self._rows(session, location, columns)

    def _rows(self, session: PostgresqlSession, location: Location, columns: Columns) -> Iterator[pa.RecordBatch]:
        place = f"{self._place.name}:{location.object}"
        found = self._describe(session, Location(location.dataset, location.object, columns))
        self._require_readable(place, found.columns, columns)
        casts = {ColumnType.FLOAT64: "::float8", ColumnType.TEXT: "::text"}
        if not columns:
            return
        cells = [pgsql.Identifier(c.name) + pgsql.SQL(casts.get(c.type, "")) for c in columns]
        wanted = pgsql.SQL(", ").join(cells)
        statement = pgsql.SQL("COPY (SELECT {} FROM {}) TO STDOUT (FORMAT csv, FORCE_QUOTE *)").format(
            wanted, session.identifier(location.object)
        )
        with session.connection.cursor().copy(statement) as copy:
            yield from copied_batches(map(bytes, copy), columns, place)

    def _require_readable(self, place: str, found: Columns, wanted: Columns) -> None:
        from agentd.datastores.forms.arrow_form import require_names

        require_names([c.name for c in found], wanted, place)
        types = {c.name: c for c in found}
        for column in wanted:
            if types[column.name].type is not column.type:
                raise StepFailure(
                    "columns_differ",
                    f"{place}: column {column.name!r} holds {types[column.name].spelled()}, "
                    f"declared is {column.spelled()}",
                    "Declare the type that the source has, or cast in a transform.",
                )

    def publish(
        self, location: Location, writer: Writer, source: Input, batches: Iterator[pa.RecordBatch]
    ) -> Published:
        """COPY into a staging table, then swap it in behind the fence."""
        with writing(self._place, location, writer, "nothing was swapped") as (session, watched):
            self._take_over(session, location, watched, source, ledger.staging_of(watched))

            def stage(staging: str) -> int:
                return self._stage(session, location, watched, source, staging, batches)

            return ledger.stage_and_publish(session, location, watched, source, stage, self._content(session))

    def _content(self, session: PostgresqlSession) -> Content:
        return lambda table, columns: self._rows(session, Location(table, table), columns)

    def _take_over(
        self,
        session: PostgresqlSession,
        location: Location,
        writer: Writer,
        source: Input | None = None,
        staging: str = "",
    ) -> None:
        """Refuse what cannot end well, then a stale writer; then end earlier writers of the target, and claim.

        Without `source` nothing is going to be published.
        """
        session.work_in(location.object)
        session.writer = writer
        require_writable(session, self._place)
        if source is not None:
            require_privileges(session, self._place, location, replaces=source.replace)
        ledger.require_not_stale(session, writer)
        evict(session, writer)
        ledger.claim(session, writer, staging)

    def _stage(
        self,
        session: PostgresqlSession,
        location: Location,
        writer: Writer,
        source: Input,
        staging: str,
        batches: Iterator[pa.RecordBatch],
    ) -> int:
        for column in source.columns:
            if len(column.name.encode()) > IDENTIFIER_BYTES_MAX:
                raise StepFailure(
                    "bad_name",
                    f"column {column.name!r} is longer than PostgreSQL's {IDENTIFIER_BYTES_MAX} bytes",
                    "Rename it in a transform.",
                )
        session.drop(staging)
        session.create(
            staging,
            [(c.name, spelled(c), c.required or c.name in location.key) for c in source.columns],
            location.object,
        )
        rows = 0
        place = f"{self._place.name}:{location.object}"
        statement = pgsql.SQL("COPY {} FROM STDIN (FORMAT csv)").format(session.identifier(staging))
        with session.connection.cursor().copy(statement) as copy:
            for batch in batches:
                writer.check_cancelled()
                copy.write(copy_lines(batch, source.columns, place, rows))
                rows += batch.num_rows
                writer.progress(rows)
        if location.key:
            self._add_key(session, staging, location)
        session.run(f"ANALYZE {session.named(staging)}")
        return rows

    def _add_key(self, session: PostgresqlSession, staging: str, location: Location) -> None:
        try:
            session.add_key(staging, location.key)
        except psycopg.errors.UniqueViolation:
            names = ", ".join(pgsql.Identifier(name).as_string(session.connection) for name in location.key)
            doubled = f"SELECT {names} FROM {session.named(staging)} GROUP BY {names} HAVING count(*) > 1 LIMIT 1"
            found = session.rows(doubled)
            place = f"{self._place.shown}, {location.object!r}"
            raise key_not_unique(place, location.key, found[0] if found else None) from None

    def adopt(self, location: Location, writer: Writer, source: Input) -> Published | None:
        """Put our fence on this migration's own earlier publish of the same input, if it is what is there."""
        with writing(self._place, location, writer, "nothing was swapped") as (session, watched):
            self._take_over(session, location, watched, source)
            return ledger.adopt(session, location, watched, source)

    def withdraw(self, location: Location, writer: Writer, undo: Undo) -> None:
        """Raise the fence; put the kept table back, or drop ours."""
        with writing(self._place, location, writer, "nothing was put back") as (session, watched):
            self._take_over(session, location, watched)
            ledger.withdraw(session, location, watched, undo, self._content(session))

    def drop_former(self, location: Location, writer: Writer) -> Removed:
        """Raise the fence; drop the kept table."""
        with connected(self._place, self._attempt_id) as session:
            self._take_over(session, location, writer)
            return ledger.drop_former(session, writer)

    def read_fence(self, location: Location, target: str) -> FenceRecord | None:
        """The ledger's record for the target."""
        with connected(self._place, self._attempt_id) as session:
            session.work_in(location.object)
            return ledger.read_record(session, target, location.object)

    def query(self, location: Location, columns: Columns, sql: str, scratch: Path) -> list[Cells]:
        """One SELECT in a read-only transaction with a timeout, under a role that cannot leave the database."""
        del location, columns, scratch
        with connected(self._place, self._attempt_id) as session:
            require_ordinary_role(session, self._place)
            return _locked_query(session.connection, self._place.schema, sql)


def _locked_query(connection: psycopg.Connection[Any], schema: str, sql: str) -> list[Cells]:
    with connection.transaction(force_rollback=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
        cursor.execute(pgsql.SQL("SET LOCAL statement_timeout = {}").format(pgsql.Literal(int(QUERY_TIMEOUT_S * 1000))))
        cursor.execute(pgsql.SQL("SET LOCAL search_path = {}").format(pgsql.Identifier(schema)))
        # Nested, so that only a query parses; prepared, so that the server refuses a second statement.
        text = f"SELECT * FROM (\n{sql.rstrip().rstrip(';')}\n) AS asked"
        try:
            cursor.execute(text.encode(), prepare=True)
        except (psycopg.errors.SyntaxError, psycopg.errors.DataError, psycopg.ProgrammingError) as err:
            if (err.sqlstate or "")[:2] not in _ABOUT_SQL:
                raise failed_running(type(err).__name__) from err
            said = err.diag.message_primary or type(err).__name__
            raise StepFailure(
                "bad_sql", f"the query was refused: {said}", "It must be one SELECT of this database."
            ) from err
        result = cursor.pgresult
        if result is None:
            return []
        kinds = [result.ftype(i) for i in range(result.nfields)]
        return [[_cell(result.get_value(r, i), k) for i, k in enumerate(kinds)] for r in range(result.ntuples)]


_BOOL_OID = 16
# Classes of SQLSTATE whose messages speak of the SQL and never of a row: syntax and access, states of the transaction,
# features that are not there, roles.
_ABOUT_SQL = frozenset({"0A", "25", "26", "28", "42"})


def _cell(value: bytes | None, kind: int) -> str | None:
    if value is None:
        return None
    text = bytes(value).decode()
    return {"t": "true", "f": "false"}.get(text, text) if kind == _BOOL_OID else text
