"""The canonical bytes of a row, computed a column at a time.

A row is: 16 bytes that stand for the columns (names, types, scales), then one cell per column, sorted by column name.
A cell is one zero byte for NULL, or the type's number (never zero) followed by the value:

    bool          1 byte, 0 or 1
    int64         8 bytes little-endian, two's complement
    decimal       16 bytes little-endian, two's complement, unscaled at the column's scale
    float64       8 bytes little-endian IEEE 754; every NaN is the quiet NaN 7ff8000000000000; -0.0 is not 0.0
    text, bytes   8 bytes little-endian length, then the bytes (UTF-8 for text)
    date          4 bytes little-endian, days since 1970-01-01
    timestamp     8 bytes little-endian, microseconds since 1970-01-01 00:00 (UTC for timestamptz)

Fixed widths and length prefixes make the encoding prefix-free, so no two different rows share their bytes. Changing
anything here changes every digest ever recorded: it needs a new `ENCODING` and the old one kept beside it.
"""

import hashlib
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from agentd.proof.types import Column, Columns, ColumnType

ENCODING = b"haulier-row-1"

# Encoded rows of one slice stay below this, so that wide rows do not multiply memory.
SLICE_BYTES_MAX = 16 * 1024 * 1024

_LARGE = pa.large_binary()
_NOTHING = pa.scalar(b"", _LARGE)
_WIDTHS = {
    ColumnType.BOOL: 1,
    ColumnType.INT64: 8,
    ColumnType.DECIMAL: 16,
    ColumnType.FLOAT64: 8,
    ColumnType.DATE: 4,
    ColumnType.TIMESTAMP: 8,
    ColumnType.TIMESTAMPTZ: 8,
}


def columns_mark(columns: Columns) -> bytes:
    """16 bytes that stand for the names, types and scales of the columns, whatever their order."""
    mark = hashlib.blake2b(ENCODING, digest_size=16)
    for column in sorted(columns, key=_by_name):
        name = column.name.encode()
        mark.update(len(name).to_bytes(8, "little") + name + bytes([column.type, column.scale]))
    return mark.digest()


def encode_rows(batch: pa.RecordBatch, columns: Columns) -> Iterator[pa.Array]:
    """Canonical bytes of each row in order, as arrays of large_binary over successive slices of the batch.

    The batch must already be in the columns' exact Arrow form (`agentd.proof.types.arrow_schema`), whatever their
    order.
    """
    mark = pa.scalar(columns_mark(columns), _LARGE)
    ordered = sorted(columns, key=_by_name)
    rows_per_slice = max(1, SLICE_BYTES_MAX * batch.num_rows // max(1, batch.nbytes))
    for start in range(0, batch.num_rows, rows_per_slice):
        part = batch.slice(start, rows_per_slice)
        cells = [_cells(part.column(column.name), column) for column in ordered]
        yield pc.binary_join_element_wise(mark, *cells, _NOTHING)


def _by_name(column: Column) -> bytes:
    return column.name.encode()


def _fixed(array: pa.Array, width: int) -> pa.Array:
    """The values' own memory seen as bytes: no copy until the cast, and NULLs stay NULL."""
    validity, data = array.buffers()
    seen = pa.Array.from_buffers(pa.binary(width), len(array), [validity, data], offset=array.offset)
    return seen.cast(_LARGE)


def _cells(array: pa.Array, column: Column) -> pa.Array:
    tag = pa.scalar(bytes([column.type]), _LARGE)
    if column.type in (ColumnType.TEXT, ColumnType.BYTES):
        values = array.cast(pa.large_binary())
        lengths = _fixed(pc.binary_length(values).cast(pa.int64()), 8)
        present = pc.binary_join_element_wise(tag, lengths, values, _NOTHING)
    else:
        if column.type is ColumnType.BOOL:
            array = array.cast(pa.uint8())
        elif column.type is ColumnType.FLOAT64:
            array = pc.if_else(pc.is_nan(array), pa.scalar(float("nan")), array)
        present = pc.binary_join_element_wise(tag, _fixed(array, _WIDTHS[column.type]), _NOTHING)
    return present.fill_null(b"\0")
