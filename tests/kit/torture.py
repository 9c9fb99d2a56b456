"""Rows that break careless movers: every type, its edges, and what text formats confuse."""

import datetime as dt
from decimal import Context, Decimal
from typing import Any

import pyarrow as pa

from agentd.proof.types import Column, Columns, ColumnType, arrow_schema

T = ColumnType

COLUMNS: Columns = (
    Column("id", T.INT64, required=True),
    Column("flag", T.BOOL),
    Column("amount", T.DECIMAL, 38, 10),
    Column("small", T.DECIMAL, 4, 2),
    Column("ratio", T.FLOAT64),
    Column("Mixed Name", T.TEXT),
    Column("raw", T.BYTES),
    Column("day", T.DATE),
    Column("local", T.TIMESTAMP),
    Column("instant", T.TIMESTAMPTZ),
)

UTC = dt.UTC
TEXTS = [
    "", "plain", " leading and trailing ", 'quote " inside', '""', '"', "comma, semicolon; tab\t", "line\nfeed",
    "carriage\r\nreturn", "\r", "\n", "NULL", "null", "NA", "\\N", "\\.", "\\", "\\x00", "ünïcödé", "日本語",
    "🦜 e\u0301", "\u200b", "\ufeff", "'", "''; DROP TABLE x; --", "%s %% ?", "x" * 5000, "0", "-", "\x01\x7f",
]  # fmt: skip
FLOATS = [0.0, 1.0, -1.5, 0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -2.2250738585072014e-308, 1e16, 123456789.125]
INFINITE = [float("inf"), float("-inf")]
UNORDERED = [float("nan"), -0.0]
DECIMALS = ["0", "-0.0000000001", "0.1", "1", "9999999999999999999999999999.9999999999", "-12345.678", "100", "1e-10"]
SMALLS = ["0", "99.99", "-99.99", "0.01", "10"]
INTS = [0, 1, -1, 2**63 - 1, -(2**63), 2**53 + 1, 42]
BYTES = [b"", b"\x00", b"\xff\xfe", bytes(range(256)), b"\\x41", b"text", b'"', b"\n"]
DAYS = [dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(1970, 1, 1), dt.date(1582, 10, 10), dt.date(2024, 2, 29)]
LOCALS = [
    dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999), dt.datetime(1969, 12, 31, 23, 59, 59, 999999),
    dt.datetime(2024, 2, 29, 12, 30, 0, 1), dt.datetime(2013, 1, 1, 5),
]  # fmt: skip


def _cycled(values: list[Any], rows: int, null_every: int) -> list[Any]:
    return [None if i % null_every == null_every - 1 else values[i % len(values)] for i in range(rows)]


def batch(rows: int = 240, *, unordered: bool = True) -> pa.RecordBatch:
    """So many rows in the columns above; with `unordered`, also NaN and -0.0."""
    floats = FLOATS + INFINITE + (UNORDERED if unordered else [])
    cells: dict[str, list[Any]] = {
        "id": [INTS[i] if i < len(INTS) else 1000 + i for i in range(rows)],
        "flag": _cycled([True, False], rows, 7),
        "amount": [None if v is None else Decimal(v) for v in _cycled(DECIMALS, rows, 5)],
        "small": [None if v is None else Decimal(v) for v in _cycled(SMALLS, rows, 6)],
        "ratio": _cycled(floats, rows, 11),
        "Mixed Name": _cycled(TEXTS, rows, 13),
        "raw": _cycled(BYTES, rows, 9),
        "day": _cycled(DAYS, rows, 8),
        "local": _cycled(LOCALS, rows, 10),
        "instant": [None if v is None else v.replace(tzinfo=UTC) for v in _cycled(LOCALS, rows, 12)],
    }
    schema = arrow_schema(COLUMNS)
    return pa.RecordBatch.from_arrays([_array(cells[f.name], f.type) for f in schema], schema=schema)


def _array(values: list[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_decimal(kind):
        quantum = Decimal(1).scaleb(-kind.scale)
        values = [None if v is None else v.quantize(quantum, context=Context(prec=60)) for v in values]
    return pa.array(values, kind)
