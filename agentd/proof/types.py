"""The logical column types that Haulier moves exactly, and their one Arrow form each.

Every engine speaks these types only at its edge; between engines data is Arrow in exactly the form `arrow_type` gives,
so that two engines that hold the same values give the same bytes to the digest.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import pyarrow as pa

DECIMAL_PRECISION_MAX = 38
SUPPORTED = "bool, int64, decimal(p,s) up to 38 digits, float64, text, bytes, date, timestamp, timestamptz"


class ColumnType(IntEnum):
    """Logical type of a column. The numbers are those of the contract's ColumnType and part of the row encoding."""

    BOOL = 1
    INT64 = 2
    DECIMAL = 3
    FLOAT64 = 4
    TEXT = 5
    BYTES = 6
    DATE = 7
    TIMESTAMP = 8
    TIMESTAMPTZ = 9


@dataclass(frozen=True, slots=True)
class Column:
    """One column: name as the engine spells it, logical type, digits for decimals, whether NULL is refused."""

    name: str
    type: ColumnType
    precision: int = 0
    scale: int = 0
    required: bool = False

    def spelled(self) -> str:
        """The type for people, such as `decimal(10,2)`."""
        if self.type is ColumnType.DECIMAL:
            return f"decimal({self.precision},{self.scale})"
        return self.type.name.lower()


Columns = tuple[Column, ...]


class UnsupportedType(ValueError):
    """A column whose type has no exact logical type. `column` and `found` name it."""

    def __init__(self, column: str, found: str) -> None:
        super().__init__(f"column {column!r} has type {found}; supported are {SUPPORTED}")
        self.column = column
        self.found = found


_SIMPLE = {
    ColumnType.BOOL: pa.bool_(),
    ColumnType.INT64: pa.int64(),
    ColumnType.FLOAT64: pa.float64(),
    ColumnType.TEXT: pa.string(),
    ColumnType.BYTES: pa.binary(),
    ColumnType.DATE: pa.date32(),
    ColumnType.TIMESTAMP: pa.timestamp("us"),
    ColumnType.TIMESTAMPTZ: pa.timestamp("us", "UTC"),
}


def arrow_type(column: Column) -> pa.DataType:
    """The one Arrow type that carries this column between engines."""
    if column.type is ColumnType.DECIMAL:
        if not 1 <= column.precision <= DECIMAL_PRECISION_MAX or not 0 <= column.scale <= column.precision:
            raise UnsupportedType(column.name, f"decimal({column.precision},{column.scale})")
        return pa.decimal128(column.precision, column.scale)
    return _SIMPLE[column.type]


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Arrow schema of the columns in their order, nullable unless required."""
    return pa.schema([pa.field(c.name, arrow_type(c), nullable=not c.required) for c in columns])


def _logical(found: pa.DataType) -> tuple[ColumnType, int, int] | None:
    """(type, precision, scale) that holds every value of an Arrow type exactly, or None."""
    t = pa.types
    if t.is_dictionary(found):
        return _logical(found.value_type)
    if t.is_decimal(found):
        fits = found.precision <= DECIMAL_PRECISION_MAX and 0 <= found.scale <= found.precision
        return (ColumnType.DECIMAL, found.precision, found.scale) if fits else None
    if t.is_timestamp(found):
        return (ColumnType.TIMESTAMP if found.tz is None else ColumnType.TIMESTAMPTZ, 0, 0)
    tests: tuple[tuple[ColumnType, bool], ...] = (
        (ColumnType.BOOL, t.is_boolean(found)),
        (ColumnType.INT64, t.is_integer(found) and not t.is_uint64(found)),
        (ColumnType.FLOAT64, t.is_float32(found) or t.is_float64(found)),
        (ColumnType.TEXT, t.is_string(found) or t.is_large_string(found) or t.is_string_view(found)),
        (
            ColumnType.BYTES,
            t.is_binary(found) or t.is_large_binary(found) or t.is_binary_view(found) or t.is_fixed_size_binary(found),
        ),
        (ColumnType.DATE, t.is_date32(found)),
    )
    return next(((logical, 0, 0) for logical, holds in tests if holds), None)


def column_of(field: pa.Field) -> Column:
    """The logical column of an Arrow field; raises UnsupportedType by name where there is none."""
    logical = _logical(field.type)
    if logical is None:
        raise UnsupportedType(field.name, str(field.type))
    kind, precision, scale = logical
    return Column(field.name, kind, precision, scale, required=not field.nullable)


def columns_of(schema: pa.Schema) -> Columns:
    """Logical columns of an Arrow schema, in order; raises UnsupportedType for the first that has none."""
    return tuple(column_of(field) for field in schema)
