"""Logical types and their one Arrow form."""

import pyarrow as pa
import pytest

from agentd.proof.types import (
    Column,
    ColumnType,
    UnsupportedType,
    arrow_schema,
    arrow_type,
    column_of,
    columns_of,
)
from tests.kit import torture

T = ColumnType


def test_every_type_has_one_arrow_form_and_comes_back() -> None:
    assert columns_of(arrow_schema(torture.COLUMNS)) == torture.COLUMNS


@pytest.mark.parametrize(
    ("found", "logical"),
    [
        (pa.int8(), T.INT64),
        (pa.uint32(), T.INT64),
        (pa.float32(), T.FLOAT64),
        (pa.large_string(), T.TEXT),
        (pa.string_view(), T.TEXT),
        (pa.dictionary(pa.int32(), pa.string()), T.TEXT),
        (pa.binary(16), T.BYTES),
        (pa.large_binary(), T.BYTES),
        (pa.timestamp("ms"), T.TIMESTAMP),
        (pa.timestamp("s", "Europe/Berlin"), T.TIMESTAMPTZ),
        (pa.decimal256(38, 2), T.DECIMAL),
    ],
)
def test_what_holds_every_value_is_recognised(found: pa.DataType, logical: ColumnType) -> None:
    assert column_of(pa.field("x", found)).type is logical


@pytest.mark.parametrize(
    "found",
    [pa.uint64(), pa.float16(), pa.time64("us"), pa.list_(pa.int64()), pa.decimal256(40, 2), pa.date64(), pa.null()],
)
def test_what_does_not_is_refused_by_name(found: pa.DataType) -> None:
    with pytest.raises(UnsupportedType, match="column 'odd' has type") as caught:
        column_of(pa.field("odd", found))
    assert caught.value.found == str(found)


@pytest.mark.parametrize(("precision", "scale"), [(0, 0), (39, 0), (4, 5)])
def test_impossible_decimals_are_refused(precision: int, scale: int) -> None:
    with pytest.raises(UnsupportedType):
        arrow_type(Column("x", T.DECIMAL, precision, scale))


def test_types_are_spelled_for_people() -> None:
    assert [c.spelled() for c in torture.COLUMNS[:3]] == ["int64", "bool", "decimal(38,10)"]
