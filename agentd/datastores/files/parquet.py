"""Parquet files as source and destination."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from agentd.datastores.files.directory import DirectoryDatastore
from agentd.datastores.files.places import ParquetPlace
from agentd.datastores.forms.arrow_form import conformed, logical_columns
from agentd.datastores.forms.parquet_files import ROW_GROUP_ROWS, FileWriter, batches_of, opened
from agentd.datastores.port.datastore import Description, Location
from agentd.datastores.port.definitions import Definition
from agentd.datastores.port.sharing import Sharing
from agentd.proof.types import Columns, UnsupportedType, arrow_type, column_of

_MAGIC = b"PAR1"
# What Arrow itself writes about its types.
_OF_ARROW = frozenset({b"ARROW:schema", b"PARQUET:field_id"})


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
