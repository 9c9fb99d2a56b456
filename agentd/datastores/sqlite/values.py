"""Values as SQLite holds them: what each logical type is stored as, and what is accepted for it when read."""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from agentd.datastores.forms.text_cells import Unfit, from_text, misfit, to_text
from agentd.proof.types import Column, ColumnType, arrow_type

# Decimals, dates and times are text: SQLite has no type for them, and NUMERIC affinity would turn decimals into floats.
SPELLED = {
    ColumnType.BOOL: "BOOLEAN",
    ColumnType.INT64: "INTEGER",
    ColumnType.DECIMAL: "TEXT",
    ColumnType.FLOAT64: "REAL",
    ColumnType.TEXT: "TEXT",
    ColumnType.BYTES: "BLOB",
    ColumnType.DATE: "TEXT",
    ColumnType.TIMESTAMP: "TEXT",
    ColumnType.TIMESTAMPTZ: "TEXT",
}
_KINDS: dict[ColumnType, frozenset[type]] = {
    ColumnType.BOOL: frozenset({int}),
    ColumnType.INT64: frozenset({int}),
    ColumnType.DECIMAL: frozenset({str, int, float}),
    ColumnType.FLOAT64: frozenset({float, int}),
    ColumnType.TEXT: frozenset({str}),
    ColumnType.BYTES: frozenset({bytes}),
    ColumnType.DATE: frozenset({str}),
    ColumnType.TIMESTAMP: frozenset({str}),
    ColumnType.TIMESTAMPTZ: frozenset({str}),
}
_EXACT_WHOLE_MAX = 2**53
_FLOAT_DIGITS_MAX = 15
_NEGATIVE_ZERO = -(2**63)


def _require(values: Sequence[Any], column: Column, fits: Callable[[Any], bool]) -> None:
    for index, value in enumerate(values):
        if value is not None and not fits(value):
            raise Unfit(index, misfit(value, column))


def from_values(values: Sequence[Any], column: Column) -> pa.Array:
    """A column's values as the engine gave them, in exact Arrow form. Raises Unfit at the first misfit."""
    allowed = _KINDS[column.type]
    if not (set(map(type, values)) - {type(None)}) <= allowed:
        _require(values, column, lambda v: type(v) in allowed)
    kind = column.type
    if kind is ColumnType.BOOL:
        _require(values, column, lambda v: v in (0, 1))
        return pa.array(values, pa.int64()).cast(pa.bool_())
    if kind is ColumnType.FLOAT64:
        if int in set(map(type, values)):
            _require(values, column, lambda v: type(v) is float or abs(v) <= _EXACT_WHOLE_MAX)
            values = [None if v is None else float(v) for v in values]
        return pa.array(values, pa.float64())
    if kind is ColumnType.DECIMAL:
        return _decimals(values, column)
    if kind in (ColumnType.DATE, ColumnType.TIMESTAMP, ColumnType.TIMESTAMPTZ):
        return from_text(pa.array(values, pa.string()), column)
    return pa.array(values, arrow_type(column))


def _decimals(values: Sequence[Any], column: Column) -> pa.Array:
    """Decimals from text and whole numbers, and from floats that SQLite itself made of short decimals."""
    if float in set(map(type, values)):
        _require(values, column, lambda v: type(v) is not float or _short(v))
    texts = [None if v is None else v if type(v) is str else _plain(v) for v in values]
    return from_text(pa.array(texts, pa.string()), column)


def _short(value: float) -> bool:
    """Whether the float's shortest text has so few digits that it is the only decimal that SQLite can have meant."""
    return math.isfinite(value) and len(Decimal(repr(value)).as_tuple().digits) <= _FLOAT_DIGITS_MAX


def _plain(value: int | float) -> str:
    return str(value) if type(value) is int else format(Decimal(repr(value)).normalize(), "f")


def to_values(array: pa.Array, column: Column) -> list[Any]:
    """A column's values as SQLite stores them. Raises Unfit for what it would change: NaN, -0.0, years beyond 9999."""
    kind = column.type
    if kind is ColumnType.BOOL:
        return list(array.cast(pa.int8()).to_pylist())
    if kind is ColumnType.FLOAT64:
        for mask, what in (
            (pc.is_nan(array), "SQLite stores NaN as NULL"),
            (pc.equal(array.view(pa.int64()), _NEGATIVE_ZERO), "SQLite stores -0.0 as 0.0"),
        ):
            index = pc.index(mask, True).as_py()
            if index >= 0:
                raise Unfit(index, what)
    if kind in (ColumnType.INT64, ColumnType.FLOAT64, ColumnType.TEXT, ColumnType.BYTES):
        return list(array.to_pylist())
    return list(to_text(array, column).to_pylist())
