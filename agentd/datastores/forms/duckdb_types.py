"""DuckDB's types and the logical ones: what is read exactly, and what is created."""

import re

from agentd.datastores.port.failures import refused_type
from agentd.proof.types import SUPPORTED, Column, ColumnType

_TYPES = {
    "BOOLEAN": ColumnType.BOOL,
    "TINYINT": ColumnType.INT64,
    "SMALLINT": ColumnType.INT64,
    "INTEGER": ColumnType.INT64,
    "BIGINT": ColumnType.INT64,
    "UTINYINT": ColumnType.INT64,
    "USMALLINT": ColumnType.INT64,
    "UINTEGER": ColumnType.INT64,
    "FLOAT": ColumnType.FLOAT64,
    "DOUBLE": ColumnType.FLOAT64,
    "VARCHAR": ColumnType.TEXT,
    "BLOB": ColumnType.BYTES,
    "DATE": ColumnType.DATE,
    "TIMESTAMP": ColumnType.TIMESTAMP,
    "TIMESTAMP_S": ColumnType.TIMESTAMP,
    "TIMESTAMP_MS": ColumnType.TIMESTAMP,
    "TIMESTAMP_NS": ColumnType.TIMESTAMP,
    "TIMESTAMP WITH TIME ZONE": ColumnType.TIMESTAMPTZ,
}
_SPELLED = {
    ColumnType.BOOL: "BOOLEAN",
    ColumnType.INT64: "BIGINT",
    ColumnType.FLOAT64: "DOUBLE",
    ColumnType.TEXT: "VARCHAR",
    ColumnType.BYTES: "BLOB",
    ColumnType.DATE: "DATE",
    ColumnType.TIMESTAMP: "TIMESTAMP",
    ColumnType.TIMESTAMPTZ: "TIMESTAMP WITH TIME ZONE",
}


def logical(name: str, kind: str, required: bool, place: str) -> Column:
    """The logical column of a DuckDB column; refuses by name a type that is not moved exactly."""
    decimal = re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", kind)
    if decimal is not None:
        return Column(name, ColumnType.DECIMAL, int(decimal[1]), int(decimal[2]), required)
    if kind not in _TYPES:
        raise refused_type("DuckDB", place, name, kind, SUPPORTED)
    return Column(name, _TYPES[kind], required=required)


def spelled(column: Column) -> str:
    """The DuckDB type of a column that Haulier creates."""
    if column.type is ColumnType.DECIMAL:
        return f"DECIMAL({column.precision},{column.scale})"
    return _SPELLED[column.type]
