"""Bring batches from engines that speak Arrow (Parquet files, DuckDB) into the columns' exact form, or refuse."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from agentd.datastores.port.failures import StepFailure, refused_type
from agentd.proof.types import SUPPORTED, Column, Columns, UnsupportedType, arrow_schema, arrow_type, columns_of


def logical_columns(schema: pa.Schema, engine: str, place: str) -> Columns:
    """Logical columns of an engine's Arrow schema; refuses by name what is not moved exactly."""
    try:
        return columns_of(schema)
    except UnsupportedType as err:
        raise refused_type(engine, place, err.column, err.found, SUPPORTED) from err


def conformed(batches: Iterable[pa.RecordBatch], columns: Columns, place: str) -> Iterator[pa.RecordBatch]:
    """The same rows with exactly these columns in order and in exact Arrow form.

    Raises StepFailure naming the column and row where a value would change, a column is absent or one is not declared.
    """
    schema = arrow_schema(columns)
    row = 0
    for batch in batches:
        require_names(batch.schema.names, columns, place)
        arrays = [_exact(batch.column(c.name), c, place, row) for c in columns]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)
        row += batch.num_rows


def require_names(found: Iterable[str], columns: Columns, place: str) -> None:
    """Refuse an object whose column names are not exactly the declared ones; nothing is dropped in silence."""
    names = list(found)
    declared = [c.name for c in columns]
    doubled = sorted({n for n in names if names.count(n) > 1})
    missing = [n for n in declared if n not in names]
    extra = [n for n in names if n not in declared]
    if not (missing or extra or doubled):
        return
    said = [f"lacks declared column {n!r}" for n in missing]
    said += [f"has undeclared column {n!r}" for n in extra]
    said += [f"has column {n!r} twice" for n in doubled]
    raise StepFailure(
        "columns_differ",
        f"{place} " + ", ".join(said[:8]),
        "Make the Dataset's columns agree with the data; drop a column in a transform if it is not wanted.",
    )


def _exact(array: pa.Array, column: Column, place: str, row: int) -> pa.Array:
    wanted = arrow_type(column)
    if array.type != wanted:
        array = _cast(array, column, wanted, place, row)
    if column.required and array.null_count:
        index = array.is_null().index(pa.scalar(True)).as_py()
        raise required_is_null(place, column, f"row {row + index + 1}")
    return array


def _cast(array: pa.Array, column: Column, wanted: pa.DataType, place: str, row: int) -> pa.Array:
    try:
        found = columns_of(pa.schema([pa.field(column.name, array.type)]))[0]
    except UnsupportedType as err:
        raise refused_type("Arrow", place, err.column, err.found, SUPPORTED) from err
    if found.type is not column.type:
        raise StepFailure(
            "columns_differ",
            f"{place}: column {column.name!r} holds {found.spelled()}, declared is {column.spelled()}",
            "Declare the type that the source has, or cast in a transform.",
        )
    try:
        return array.cast(wanted, safe=True)
    except pa.ArrowInvalid as err:
        index = _first_unsafe(array, wanted)
        raise StepFailure(
            "value_does_not_fit",
            f"{place}: row {row + index + 1}, column {column.name!r}: a value of {array.type} has no exact "
            f"{column.spelled()}",
            "Declare a wider type, or round in a transform at the source.",
        ) from err


def _first_unsafe(array: pa.Array, wanted: pa.DataType) -> int:
    for index in range(len(array)):
        try:
            array.slice(index, 1).cast(wanted, safe=True)
        except pa.ArrowInvalid:
            return index
    return 0


def required_is_null(place: str, column: Column, where: str) -> StepFailure:
    """Failure for NULL in a column that is declared required."""
    return StepFailure(
        "value_does_not_fit",
        f"{place}: {where}, column {column.name!r} is NULL but declared required",
        "Remove `required` from the column, or mend the source.",
    )
