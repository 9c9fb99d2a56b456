"""Parquet files: the native form of staged parts, and a source and destination of their own."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agentd import durable
from agentd.datastores.arrow_form import conformed, logical_columns
from agentd.datastores.definitions import Definition
from agentd.datastores.directory import DirectoryDatastore
from agentd.datastores.failures import StepFailure
from agentd.datastores.port import BATCH_ROWS, Description, Location, ParquetPlace
from agentd.datastores.sharing import Sharing
from agentd.proof.types import Columns, UnsupportedType, arrow_schema, arrow_type, column_of

ROW_GROUP_ROWS = 131_072
_MAGIC = b"PAR1"
# What Arrow itself writes about its types.
_OF_ARROW = frozenset({b"ARROW:schema", b"PARQUET:field_id"})


def opened(path: Path) -> pq.ParquetFile:
    """An open Parquet file; StepFailure where it is not one."""
    try:
        return pq.ParquetFile(path, memory_map=False)
    except pa.ArrowInvalid as err:
        raise StepFailure(
            "corrupt_file", f"{path} is not a Parquet file, or is cut short", "Write it again at its source."
        ) from err


def batches_of(path: Path) -> Iterator[pa.RecordBatch]:
    """The rows of one file, one row group's pages at a time."""
    file = opened(path)
    try:
        yield from file.iter_batches(BATCH_ROWS, use_threads=False)
    except (pa.ArrowInvalid, OSError) as err:
        if isinstance(err, OSError) and err.errno:
            raise
        raise StepFailure("corrupt_file", f"{path} cannot be read to its end", "Write it again.") from err
    finally:
        file.close()


class FileWriter:
    """Writes one Parquet file of exact columns; durable after `close`."""

    def __init__(self, path: Path, columns: Columns) -> None:
        self._sink = path.open("xb")
        try:
            self._writer = pq.ParquetWriter(
                self._sink, arrow_schema(columns), compression="zstd", compression_level=1, use_dictionary=True
            )
        except BaseException:
            # Nobody has the writer yet who could close its file.
            self._sink.close()
            raise

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows as one row group or more."""
        self._writer.write_batch(batch, ROW_GROUP_ROWS)

    def write_table(self, table: pa.Table) -> None:
        """Append rows as one row group."""
        self._writer.write_table(table, ROW_GROUP_ROWS)

    def close(self) -> None:
        """Finish the file and make it durable."""
        self._writer.close()
        durable.sync_file(self._sink)
        self._sink.close()

    def abandon(self) -> None:
        """Close without caring for the content; the caller removes or ignores the file."""
        # Else the library would try to write a footer when it forgets the writer.
        self._writer.is_open = False
        self._sink.close()


def _definitions(file: pq.ParquetFile) -> Iterator[Definition]:
    schema = file.schema_arrow
    for key in {**(file.metadata.metadata or {}), **(schema.metadata or {})}.keys() - _OF_ARROW:
        yield Definition("metadata", key.decode("utf-8", "replace"))
    for field in schema:
        if not field.nullable:
            yield Definition("not_null", field.name)
        for key in (field.metadata or {}).keys() - _OF_ARROW:
            yield Definition("metadata", f"{field.name}: {key.decode('utf-8', 'replace')}")
        with suppress(UnsupportedType):
            if arrow_type(column_of(field)) != field.type:
                yield Definition("type", f"{field.name}: {field.type}")
    if file.metadata.num_row_groups and (order := file.metadata.row_group(0).sorting_columns):
        yield Definition("storage", "sorted by " + ", ".join(schema.names[each.column_index] for each in order))


class ParquetDatastore(DirectoryDatastore):
    """Parquet files below one root."""

    engine = "parquet"
    suffixes = (".parquet", ".pq")

    def __init__(self, place: ParquetPlace) -> None:
        super().__init__(place.name, place.root, Sharing(place.name, place.file_mode, place.group))

    def names_of(self, path: Path) -> list[str]:
        """Names in the file's schema."""
        file = opened(path)
        try:
            return list(file.schema_arrow.names)
        finally:
            file.close()

    def describe_file(self, path: Path, location: Location) -> Description:
        """Columns by the file's schema, rows by its footer."""
        file = opened(path)
        try:
            columns = logical_columns(file.schema_arrow, "Parquet", f"{self.name}:{location.object}")
            return Description(columns, location.key, file.metadata.num_rows)
        finally:
            file.close()

    def define_file(self, path: Path) -> list[Definition]:
        """NOT NULL columns, types that a logical one says less than, metadata, and the order of its rows."""
        file = opened(path)
        try:
            return list(_definitions(file))
        finally:
            file.close()

    def holds_rows(self, path: Path) -> bool:
        """Whether it begins like a Parquet file."""
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC

    def read_file(self, path: Path, columns: Columns) -> Iterator[pa.RecordBatch]:
        """All rows in exact Arrow form."""
        yield from conformed(batches_of(path), columns, f"{self.name}:{path.name}")

    def write_file(self, path: Path, columns: Columns, batches: Iterator[pa.RecordBatch]) -> int:
        """One file with row groups of up to ROW_GROUP_ROWS rows."""
        rows = held_rows = 0
        held: list[pa.RecordBatch] = []
        writer = FileWriter(path, columns)
        try:
            for batch in batches:
                held.append(batch)
                held_rows += batch.num_rows
                rows += batch.num_rows
                if held_rows >= ROW_GROUP_ROWS or sum(b.nbytes for b in held) > 64 * 1024 * 1024:
                    writer.write_table(pa.Table.from_batches(held))
                    held, held_rows = [], 0
            if held:
                writer.write_table(pa.Table.from_batches(held))
            writer.close()
        except BaseException:
            # An interrupt too leaves no open file behind; who asked for it removes the file.
            writer.abandon()
            raise
        return rows
