"""Types are read and written one way; everything else is refused by name."""

from __future__ import annotations

import pytest
from haulier.v1 import kinds_pb2
from hypothesis import given
from hypothesis import strategies as st

from controlplane.manifests.kinds.column_types import LogicalType, UnknownType, parse_type, write_type
from controlplane.manifests.kinds.datastore import ENGINES

_ALL = [
    *(name for name in ("bool", "int64", "float64", "text", "bytes", "date", "timestamp", "timestamptz")),
    "decimal(1,0)",
    "decimal(38,38)",
]


@pytest.mark.parametrize("spelling", _ALL)
def test_a_type_is_written_as_it_is_read(spelling: str) -> None:
    assert write_type(parse_type(spelling)) == spelling


def test_every_type_of_the_contract_has_a_spelling() -> None:
    known = {parse_type(spelling).type for spelling in _ALL}
    assert known == set(kinds_pb2.ColumnType.values()) - {kinds_pb2.COLUMN_TYPE_UNSPECIFIED}


def test_decimals_carry_precision_and_scale() -> None:
    assert parse_type("decimal( 18 , 4 )") == LogicalType(kinds_pb2.COLUMN_TYPE_DECIMAL, 18, 4)


@pytest.mark.parametrize(
    ("spelling", "hint"),
    [
        ("Int64", '"int64"'),
        ("timestampz", '"timestamptz"'),
        ("numeric(10,2)", "decimal(18,4)"),
        ("BIGINT", '"int64"'),
        ("json", "known: bool"),
        ("decimal(\u0663,\u0661)", "decimal(p,s)"),
    ],
)
def test_another_spelling_leads_to_the_right_one(spelling: str, hint: str) -> None:
    with pytest.raises(UnknownType) as caught:
        parse_type(spelling)
    assert hint in caught.value.hint


@given(st.text(max_size=30))
def test_any_text_is_a_type_or_refused(spelling: str) -> None:
    try:
        assert parse_type(write_type(parse_type(spelling))) == parse_type(spelling)
    except UnknownType as error:
        assert str(error)


def test_a_name_is_measured_in_bytes() -> None:
    assert ENGINES["postgresql"].misfit("é" * 31) == ""
    assert "63 bytes" in ENGINES["postgresql"].misfit("é" * 32)
    assert ENGINES["duckdb"].misfit("é" * 32) == ""
