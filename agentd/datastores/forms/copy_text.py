"""Record batches as lines of PostgreSQL's COPY CSV and back, a column at a time.

Every value is quoted and NULL is nothing between two commas, so the empty text and a lone `\\.` are plain values.
"""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from agentd.datastores.forms.arrow_form import required_is_null
from agentd.datastores.forms.text_cells import Unfit, from_text, to_text
from agentd.datastores.port.datastore import BATCH_ROWS
from agentd.datastores.port.failures import StepFailure
from agentd.proof.types import Column, Columns, ColumnType, arrow_schema

# A block of lines is parsed when it has this many bytes, so that wide rows do not multiply memory.
_BLOCK_BYTES_MAX = 8 * 1024 * 1024


def quoted_lines(batch: pa.RecordBatch, columns: Columns, delimiter: str, null_text: str) -> bytes:
    """The rows as lines of UTF-8, each with its end. Raises Unfit where a value has no text."""
    large = pa.large_string()
    cells = [_quoted(batch.column(c.name), c).fill_null(null_text).cast(large) for c in columns]
    if batch.num_rows == 0:
        return b""
    lines = pc.binary_join_element_wise(*cells, pa.scalar(delimiter, large))
    ended = pc.binary_join_element_wise(lines, pa.scalar("\n", large), pa.scalar("", large))
    # An array fresh from a kernel starts at offset 0, so its memory is already the block of lines.
    size = pc.sum(pc.binary_length(ended)).as_py()
    return bytes(memoryview(ended.buffers()[2])[:size])


def _quoted(array: pa.Array, column: Column) -> pa.Array:
    text = to_text(array, column)
    if column.type is ColumnType.TEXT:
        text = pc.replace_substring(text, '"', '""')
    return pc.binary_join_element_wise('"', text, '"', "")


def copy_lines(batch: pa.RecordBatch, columns: Columns, place: str, first_row: int) -> bytes:
    """A batch as COPY CSV. Raises StepFailure for what PostgreSQL cannot hold: NUL inside text."""
    for column in columns:
        if column.type is ColumnType.TEXT:
            index = pc.index(pc.match_substring(batch.column(column.name), "\0"), True).as_py()
            if index >= 0:
                raise StepFailure(
                    "value_does_not_fit",
                    f"{place}: row {first_row + index + 1}, column {column.name!r}: PostgreSQL text cannot hold the "
                    "character NUL",
                    "Replace it in a transform, for example with replace(column, chr(0), '').",
                )
    try:
        return quoted_lines(batch, columns, ",", "")
    except Unfit as err:
        raise StepFailure(
            "value_does_not_fit", f"{place}: row {first_row + err.index + 1}: {err.why}", "Mend it in a transform."
        ) from err


def copied_batches(rows: Iterable[bytes], columns: Columns, place: str) -> Iterator[pa.RecordBatch]:
    """Batches from COPY CSV rows, each a whole record. Raises StepFailure naming the column of a value that does not
    fit."""
    block: list[bytes] = []
    size = 0
    done = 0
    for row in rows:
        block.append(row)
        size += len(row)
        if len(block) >= BATCH_ROWS or size >= _BLOCK_BYTES_MAX:
            yield _parsed(b"".join(block), columns, place, done)
            done += len(block)
            block, size = [], 0
    if block:
        yield _parsed(b"".join(block), columns, place, done)


def _parsed(block: bytes, columns: Columns, place: str, done: int) -> pa.RecordBatch:
    names = [str(i) for i in range(len(columns))]
    table = pacsv.read_csv(
        pa.BufferReader(block),
        read_options=pacsv.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1),
        parse_options=pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pacsv.ConvertOptions(
            column_types={n: pa.string() for n in names},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    arrays = []
    for name, column in zip(names, columns, strict=True):
        text = pa.concat_arrays(table.column(name).chunks) if table.num_rows else pa.array([], pa.string())
        try:
            found = from_text(text, column)
        except Unfit as err:
            raise StepFailure(
                "value_does_not_fit",
                f"{place}: row {done + err.index + 1} as read, column {column.name!r}: {err.why}",
                "Mend the value at the source, or declare another type; values are shown by their shape only.",
            ) from err
        if column.required and found.null_count:
            index = found.is_null().index(pa.scalar(True)).as_py()
            raise required_is_null(place, column, f"row {done + index + 1} as read")
        arrays.append(found)
    return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns))
