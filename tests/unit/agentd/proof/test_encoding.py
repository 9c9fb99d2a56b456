"""The canonical bytes of a row: pinned, and equal to a second encoder that was written row by row from the words
alone."""

import datetime as dt
import math
import struct
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.proof.encoding import SLICE_BYTES_MAX, columns_mark, encode_rows
from agentd.proof.types import Column, Columns, ColumnType, arrow_schema
from tests.kit import torture

T = ColumnType
EPOCH = dt.datetime(1970, 1, 1)


def encoded(batch: pa.RecordBatch, columns: Columns) -> list[bytes]:
    return [bytes(row) for part in encode_rows(batch, columns) for row in part.to_pylist()]


def cell(value: Any, column: Column) -> bytes:
    """The cell as the words of the module say, one value at a time."""
    if value is None:
        return b"\0"
    tag = bytes([column.type])
    if column.type is T.BOOL:
        return tag + bytes([value])
    if column.type is T.INT64:
        return tag + struct.pack("<q", value)
    if column.type is T.DECIMAL:
        return tag + int(Decimal(value).scaleb(column.scale)).to_bytes(16, "little", signed=True)
    if column.type is T.FLOAT64:
        return tag + (bytes.fromhex("000000000000f87f") if math.isnan(value) else struct.pack("<d", value))
    if column.type in (T.TEXT, T.BYTES):
        data = value.encode() if isinstance(value, str) else value
        return tag + struct.pack("<q", len(data)) + data
    if column.type is T.DATE:
        return tag + struct.pack("<i", (value - EPOCH.date()).days)
    if value.tzinfo is not None:
        value = value.astimezone(dt.UTC).replace(tzinfo=None)
    return tag + struct.pack("<q", (value - EPOCH) // dt.timedelta(microseconds=1))


def by_hand(batch: pa.RecordBatch, columns: Columns) -> list[bytes]:
    ordered = sorted(columns, key=lambda c: c.name.encode())
    return [columns_mark(columns) + b"".join(cell(row[c.name], c) for c in ordered) for row in batch.to_pylist()]


def test_torture_rows_equal_the_encoder_by_hand() -> None:
    # Decimals of 38 digits need a context of that width in Python.
    import decimal

    with decimal.localcontext(decimal.Context(prec=60)):
        batch = torture.batch(500)
        assert encoded(batch, torture.COLUMNS) == by_hand(batch, torture.COLUMNS)


def test_the_encoding_is_pinned() -> None:
    """These bytes are in receipts that people keep: if this test fails, every digest ever recorded has changed."""
    columns = (Column("b", T.TEXT), Column("a", T.DECIMAL, 5, 2), Column("c", T.FLOAT64))
    batch = pa.RecordBatch.from_arrays(
        [pa.array(["é"]), pa.array([Decimal("-1.50")], pa.decimal128(5, 2)), pa.array([None], pa.float64())],
        schema=arrow_schema(columns),
    )
    (row,) = encoded(batch, columns)
    assert row[16:].hex() == "03" + "6aff" + "ff" * 14 + "05" + "0200000000000000" + "c3a9" + "00"
    assert row[:16].hex() == columns_mark(columns).hex() == MARK


MARK = "b462b8866ddac07958e7724570021a38"

values = st.tuples(
    st.none() | st.text(max_size=5),
    st.none() | st.binary(max_size=5),
    st.none() | st.integers(-(2**63), 2**63 - 1),
    st.none() | st.floats(),
    st.none() | st.booleans(),
)
COLUMNS: Columns = (
    Column("t", T.TEXT),
    Column("y", T.BYTES),
    Column("i", T.INT64),
    Column("f", T.FLOAT64),
    Column("o", T.BOOL),
)


def batch_of(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    schema = arrow_schema(COLUMNS)
    return pa.RecordBatch.from_arrays(
        [pa.array([row[i] for row in rows], field.type) for i, field in enumerate(schema)], schema=schema
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(values, max_size=20), st.integers(0, 5))
def test_any_rows_equal_the_encoder_by_hand_also_in_slices(rows: list[tuple[Any, ...]], start: int) -> None:
    batch = batch_of(rows)
    assert encoded(batch, COLUMNS) == by_hand(batch, COLUMNS)
    assert encoded(batch.slice(start), COLUMNS) == by_hand(batch, COLUMNS)[start:]


@settings(max_examples=200, deadline=None)
@given(values, values)
def test_different_rows_have_different_bytes(one: tuple[Any, ...], two: tuple[Any, ...]) -> None:
    first, second = encoded(batch_of([one, two]), COLUMNS)
    same = [cell(a, c) == cell(b, c) for a, b, c in zip(one, two, COLUMNS, strict=True)]
    assert (first == second) == all(same)


def test_what_careless_encodings_confuse() -> None:
    columns = (Column("a", T.TEXT), Column("b", T.TEXT))
    schema = arrow_schema(columns)
    rows = [
        ("", None),
        (None, ""),
        ("", ""),
        (None, None),
        ("ab", ""),
        ("a", "b"),
        ("", "ab"),
        ("a,b", ""),
        ("NULL", ""),
    ]
    batch = pa.RecordBatch.from_arrays(
        [pa.array([r[0] for r in rows], pa.string()), pa.array([r[1] for r in rows], pa.string())], schema=schema
    )
    assert len(set(encoded(batch, columns))) == len(rows)


def test_nan_is_one_value_and_zero_has_a_sign() -> None:
    columns = (Column("x", T.FLOAT64),)
    payloads = pa.array([0x7FF8000000000000, 0x7FF8000000000001, 0x7FF0000000000001, -0x8000000000000 + 1], pa.int64())
    nans = pa.RecordBatch.from_arrays([payloads.view(pa.float64())], names=["x"])
    assert len(set(encoded(nans, columns))) == 1
    zeros = pa.RecordBatch.from_arrays([pa.array([0.0, -0.0])], names=["x"])
    assert len(set(encoded(zeros, columns))) == 2


def test_the_order_of_columns_does_not_matter_but_names_and_scales_do() -> None:
    batch = torture.batch(20)
    turned = tuple(reversed(torture.COLUMNS))
    assert encoded(batch.select([c.name for c in turned]), turned) == encoded(batch, torture.COLUMNS)
    one, other = Column("a", T.INT64), Column("b", T.INT64)
    assert columns_mark((one,)) != columns_mark((other,))
    assert columns_mark((Column("a", T.DECIMAL, 9, 1),)) != columns_mark((Column("a", T.DECIMAL, 9, 2),))
    assert columns_mark((Column("a", T.DECIMAL, 9, 1),)) == columns_mark((Column("a", T.DECIMAL, 12, 1),))


def test_wide_rows_are_encoded_in_slices() -> None:
    wide = pa.RecordBatch.from_arrays([pa.array(["x" * (SLICE_BYTES_MAX // 4)] * 9)], names=["a"])
    sizes = [len(part) for part in encode_rows(wide, (Column("a", T.TEXT),))]
    assert sum(sizes) == 9
    assert max(sizes) <= 4
