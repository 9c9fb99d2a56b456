"""Parquet files: the native form of staged parts, and a source and destination of their own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agentd.datastores.arrow_form import conformed, logical_columns
from agentd.datastores.directory import DirectoryDatastore
from agentd.datastores.failures import StepFailure
from agentd.datastores.port import BATCH_ROWS, Description, Location, ParquetPlace
from agentd.proof.types import Columns, arrow_schema

ROW_GROUP_ROWS = 131_072


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
        self._sink.flush()
        os.fsync(self._sink.fileno())
        self._sink.close()

    def abandon(self) -> None:
        """Close without caring for the content; the caller removes or ignores the file."""
        # Else the library would try to write a footer when it forgets the writer.
        self._writer.is_open = False
        self._sink.close()


class ParquetDatastore(DirectoryDatastore):
    """Parquet files below one root."""

    engine = "parquet"
    suffixes = (".parquet", ".pq")

    def __init__(self, place: ParquetPlace) -> None:
        super().__init__(place.name, place.root)

    def describe_files(self, files: list[Path], location: Location) -> Description:
        """Columns by the first file's schema, rows by all footers."""
        rows = 0
        columns: Columns = location.columns
        for index, path in enumerate(files):
            file = opened(path)
            rows += file.metadata.num_rows
            if index == 0:
                columns = logical_columns(file.schema_arrow, "Parquet", f"{self.name}:{location.object}")
            file.close()
        return Description(columns, location.key, rows)

    def read_files(self, files: list[Path], columns: Columns) -> Iterator[pa.RecordBatch]:
        """All rows in exact Arrow form."""
        for path in files:
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
