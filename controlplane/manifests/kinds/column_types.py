"""Column types: the ones moved exactly, and how people write them.

Every type of ``SPELLINGS`` is exact in every engine: where an engine has no such type (CSV and SQLite have neither
decimals nor dates), agents store a canonical text and re-read it through the declared type.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from haulier.v1 import kinds_pb2

from controlplane.manifests.text.findings import near_miss, shown

PRECISION_MAX = 38

_PLAIN: dict[str, kinds_pb2.ColumnType] = {
    "bool": kinds_pb2.COLUMN_TYPE_BOOL,
    "int64": kinds_pb2.COLUMN_TYPE_INT64,
    "float64": kinds_pb2.COLUMN_TYPE_FLOAT64,
    "text": kinds_pb2.COLUMN_TYPE_TEXT,
    "bytes": kinds_pb2.COLUMN_TYPE_BYTES,
    "date": kinds_pb2.COLUMN_TYPE_DATE,
    "timestamp": kinds_pb2.COLUMN_TYPE_TIMESTAMP,
    "timestamptz": kinds_pb2.COLUMN_TYPE_TIMESTAMPTZ,
}
SPELLINGS = (*_PLAIN, "decimal(p,s)")

# What people call these types elsewhere. Only names that mean the same values exactly.
_ELSEWHERE = {
    "boolean": "bool",
    "int": "int64",
    "integer": "int64",
    "bigint": "int64",
    "long": "int64",
    "smallint": "int64",
    "int32": "int64",
    "int16": "int64",
    "int8": "int64",
    "double": "float64",
    "double precision": "float64",
    "float": "float64",
    "float8": "float64",
    "real": "float64",
    "string": "text",
    "str": "text",
    "varchar": "text",
    "char": "text",
    "utf8": "text",
    "bytea": "bytes",
    "blob": "bytes",
    "binary": "bytes",
    "varbinary": "bytes",
    "numeric": "decimal(p,s)",
    "number": "decimal(p,s)",
    "decimal": "decimal(p,s)",
    "datetime": "timestamp",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
}
_DECIMAL_FORM = re.compile(r"decimal\(\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*\)")
_WITH_LENGTH = re.compile(r"([a-z ]+?)\s*\(.*\)")


@dataclass(frozen=True, slots=True)
class LogicalType:
    """A column type. ``precision`` and ``scale`` are decimal digits, 0 for everything but decimals."""

    type: kinds_pb2.ColumnType
    precision: int = 0
    scale: int = 0


class UnknownType(ValueError):
    """A spelling that names none of the types moved exactly. ``hint`` says what may have been meant."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@lru_cache(maxsize=1024)
def parse_type(spelling: str) -> LogicalType:
    """Read a type as people write it. Raises UnknownType."""
    plain = _PLAIN.get(spelling)
    if plain is not None:
        return LogicalType(plain)
    match = _DECIMAL_FORM.fullmatch(spelling)
    if match is None:
        raise UnknownType(f"{shown(spelling)} is not a type that Haulier moves exactly", _type_hint(spelling))
    precision, scale = int(match[1]), int(match[2])
    if not 1 <= precision <= PRECISION_MAX:
        raise UnknownType(f"a decimal's precision is 1 to {PRECISION_MAX}, not {precision}", "")
    if scale > precision:
        message = f"a decimal's scale is 0 to its precision, {precision}, not {scale}"
        raise UnknownType(message, f"did you mean decimal({scale},{precision})?" if scale <= PRECISION_MAX else "")
    return LogicalType(kinds_pb2.COLUMN_TYPE_DECIMAL, precision, scale)


def _type_hint(spelling: str) -> str:
    folded = spelling.strip().casefold()
    with_length = _WITH_LENGTH.fullmatch(folded)
    bare = with_length[1] if with_length else folded
    meant = _ELSEWHERE.get(bare) or (bare if bare in _PLAIN else "")
    if not meant:
        close = near_miss(bare, [*SPELLINGS, *_ELSEWHERE])
        meant = _ELSEWHERE.get(close, close)
    if meant == "decimal(p,s)":
        return "did you mean decimal(p,s), for example decimal(18,4)?"
    return f'did you mean "{meant}"?' if meant else "known: " + ", ".join(SPELLINGS)


def write_type(logical: LogicalType) -> str:
    """Write a type the way ``parse_type`` reads it."""
    if logical.type == kinds_pb2.COLUMN_TYPE_DECIMAL:
        return f"decimal({logical.precision},{logical.scale})"
    return next(name for name, value in _PLAIN.items() if value == logical.type)
