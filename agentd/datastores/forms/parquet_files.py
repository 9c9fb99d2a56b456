"""Parquet files, read and written batch by batch: the form of staged parts, and of the datastores of that format."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agentd.datastores.port.datastore import BATCH_ROWS
from agentd.datastores.port.failures import StepFailure
from agentd.disk import durable
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
        durable.sync_file(self._sink)
        self._sink.close()

    def abandon(self) -> None:
        """Close without caring for the content; the caller removes or ignores the file."""
        # Else the library would try to write a footer when it forgets the writer.
        self._writer.is_open = False
        self._sink.close()
