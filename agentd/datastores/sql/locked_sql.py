"""Run one SELECT that a person wrote, in a DuckDB that can reach nothing else.

The database is in memory; the only files it may read are named one by one; nothing can be attached, installed,
loaded, copied out or configured, and it works in one thread so that the same SQL over the same rows gives the same
rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

import duckdb
import pyarrow as pa

from agentd.datastores.forms.duckdb_types import logical
from agentd.datastores.forms.parquet_files import FileWriter
from agentd.datastores.port.datastore import BATCH_ROWS, Cells
from agentd.datastores.port.failures import StepFailure, failed_running, no_room
from agentd.proof.types import Columns

MEMORY = "768MB"
SPILL_MAX = "20GB"


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def single_select(sql: str) -> str:
    """The text of the one SELECT in it; raises StepFailure for anything else."""
    try:
        found = duckdb.extract_statements(sql)
    except duckdb.Error as err:
        raise bad_sql(err) from err
    if len(found) != 1 or found[0].type != duckdb.StatementType.SELECT:
        kinds = ", ".join(s.type.name for s in found) or "nothing"
        raise StepFailure("bad_sql", f"the SQL must be one SELECT statement, and is {kinds}", "Keep only the SELECT.")
    return str(found[0].query).rstrip().rstrip(";")


# What is found wrong before a row is read: these speak of the SQL alone.
_ABOUT_SQL = (
    duckdb.ParserException,
    duckdb.SyntaxException,
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.PermissionException,
    duckdb.NotImplementedException,
    duckdb.OutOfMemoryException,
    duckdb.InterruptException,
)


def bad_sql(err: Exception) -> StepFailure:
    """Failure for SQL that the engine refused, with the first line of what it said where that holds no value of a
    row."""
    if "no space left" in str(err).lower():
        # What does not fit into memory is sorted and joined on disk, in the attempt's own directory.
        return no_room("running the SQL, which puts on disk what does not fit into memory", Path(gettempdir()))
    if not isinstance(err, _ABOUT_SQL):
        return failed_running(type(err).__name__.removesuffix("Exception"))
    said = next(iter(str(err).splitlines()), type(err).__name__)[:300]
    return StepFailure(
        "bad_sql", f"the SQL was refused: {said}", "It may read only the data it was given, by one SELECT."
    )


def harden(connection: duckdb.DuckDBPyConnection, scratch: Path, readable: list[Path]) -> None:
    """Close every way out of a connection but the readable files. Nothing can be opened again afterwards."""
    spill = scratch / "spill"
    spill.mkdir(parents=True, exist_ok=True)
    paths = ", ".join(literal(str(p)) for p in readable)
    for statement in (
        "SET threads = 1",
        f"SET memory_limit = '{MEMORY}'",
        f"SET temp_directory = {literal(str(spill))}",
        f"SET max_temp_directory_size = '{SPILL_MAX}'",
        "SET TimeZone = 'UTC'",
        "SET python_enable_replacements = false",
        "SET autoinstall_known_extensions = false",
        "SET autoload_known_extensions = false",
        "SET allow_community_extensions = false",
        f"SET allowed_paths = [{paths}]",
        "SET enable_external_access = false",
        "SET lock_configuration = true",
    ):
        connection.execute(statement)


@contextmanager
def _locked(view: str, files: list[Path], scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    scratch.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect(":memory:")
    try:
        listed = ", ".join(literal(str(p)) for p in files)
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE VIEW {quoted(view)} AS SELECT * FROM read_parquet([{listed}])")
        harden(connection, scratch, files)
        yield connection
    except duckdb.OutOfMemoryException as err:
        raise StepFailure(
            "out_of_memory", "the SQL needs more memory than it may have", "Simplify it: sort and join less."
        ) from err
    except duckdb.Error as err:
        raise bad_sql(err) from err
    finally:
        connection.close()


def _files_or_empty(files: list[Path], columns: Columns, scratch: Path) -> list[Path]:
    """The files, or one empty file of the same columns where there are none."""
    if files:
        return files
    scratch.mkdir(parents=True, exist_ok=True)
    empty = scratch / "empty.parquet"
    empty.unlink(missing_ok=True)
    writer = FileWriter(empty, columns)
    writer.close()
    return [empty]


def select_from_parts(
    files: list[Path], columns: Columns, sql: str, scratch: Path
) -> tuple[Columns, Iterator[pa.RecordBatch]]:
    """Run the SELECT over the view `input` of these Parquet files: its logical columns, and its batches as they
    come."""
    statement = single_select(sql)
    files = _files_or_empty(files, columns, scratch)
    with _locked("input", files, scratch) as connection:
        described = connection.execute(f"DESCRIBE {statement}").fetchall()
    output = tuple(logical(str(row[0]), str(row[1]), False, "the transform's output") for row in described)
    return output, _streamed(statement, files, scratch)


def _streamed(statement: str, files: list[Path], scratch: Path) -> Iterator[pa.RecordBatch]:
    with _locked("input", files, scratch) as connection:
        yield from connection.execute(statement).to_arrow_reader(BATCH_ROWS)


def query_batches(batches: Iterator[pa.RecordBatch], columns: Columns, sql: str, scratch: Path) -> list[Cells]:
    """Run the SELECT over the view `dataset` of these rows, and give its rows as text cells."""
    statement = single_select(sql)
    scratch.mkdir(parents=True, exist_ok=True)
    path = scratch / "dataset.parquet"
    path.unlink(missing_ok=True)
    writer = FileWriter(path, columns)
    try:
        for batch in batches:
            writer.write(batch)
        writer.close()
        with _locked("dataset", [path], scratch) as connection:
            return text_rows(connection, statement)
    finally:
        writer.abandon()
        path.unlink(missing_ok=True)


def text_rows(connection: duckdb.DuckDBPyConnection, statement: str) -> list[Cells]:
    """Rows of a SELECT with every cell as the engine's own text; NULL is None."""
    asked = f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (\n{statement}\n)"
    return [list(row) for row in connection.execute(asked).fetchall()]
