"""Values as text and back: exact both ways, and the first misfit is the one that is named."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.datastores.forms.text_cells import Unfit, from_text, shape, to_text
from agentd.proof.digests import row_digests
from agentd.proof.types import Column, ColumnType, arrow_type

T = ColumnType
LOCALS = st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999))

CASES: list[tuple[Column, st.SearchStrategy[Any]]] = [
    (Column("x", T.BOOL), st.booleans()),
    (Column("x", T.INT64), st.integers(-(2**63), 2**63 - 1)),
    (Column("x", T.DECIMAL, 38, 10), st.decimals(-(10**27), 10**27, places=10)),
    (Column("x", T.DECIMAL, 38, 38), st.decimals(Decimal("-0.9"), Decimal("0.9"), places=38)),
    (Column("x", T.DECIMAL, 3, 0), st.integers(-999, 999).map(Decimal)),
    (Column("x", T.FLOAT64), st.floats()),
    (Column("x", T.TEXT), st.text()),
    (Column("x", T.BYTES), st.binary()),
    (Column("x", T.DATE), st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))),
    (Column("x", T.TIMESTAMP), LOCALS),
    (Column("x", T.TIMESTAMPTZ), LOCALS.map(lambda v: v.replace(tzinfo=dt.UTC))),
]


@pytest.mark.parametrize(("column", "strategy"), CASES, ids=lambda c: c.spelled() if isinstance(c, Column) else "")
def test_every_value_comes_back(column: Column, strategy: st.SearchStrategy[Any]) -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.none() | strategy, max_size=12))
    def check(values: list[Any]) -> None:
        array = pa.array(values, arrow_type(column))
        back = from_text(to_text(array, column).cast(pa.binary()), column)
        assert back.type == arrow_type(column)
        assert digests(back, column) == digests(array, column)

    check()


def digests(array: pa.Array, column: Column) -> list[bytes]:
    return row_digests(pa.RecordBatch.from_arrays([array], names=[column.name]), (column,))


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [
        (Column("x", T.INT64), "1", "1_000"),
        (Column("x", T.INT64), "+1", "٣"),
        (Column("x", T.BOOL), "T", ""),
        (Column("x", T.DECIMAL, 5, 2), "-1.5e1", "."),
        (Column("x", T.DECIMAL, 5, 2), "999.99", "1000"),
        (Column("x", T.FLOAT64), "-Infinity", "1,5"),
        (Column("x", T.FLOAT64), "1e308", "1e309"),
        (Column("x", T.DATE), "0001-01-01", "0000-01-01x"),
        (Column("x", T.TIMESTAMP), "2024-02-29T23:59", "2024-02-30 00:00:00"),
        (Column("x", T.TIMESTAMPTZ), "2024-02-29 12:00:00+05:30", "2024-02-29 12:00:00 Europe/Berlin"),
        (Column("x", T.BYTES), "\\x", "\\x0 "),
    ],
)
@pytest.mark.parametrize("index", [0, 1, 6, 9])
def test_the_first_misfit_is_named(column: Column, good: str, bad: str, index: int) -> None:
    texts: list[str | None] = [good] * 10
    assert from_text(pa.array(texts), column).null_count == 0
    texts[index] = bad
    texts[9] = bad
    with pytest.raises(Unfit) as caught:
        from_text(pa.array([None, *texts]), column)
    assert caught.value.index == index + 1
    assert column.spelled() in caught.value.why


def test_bytes_that_are_not_utf8_are_named() -> None:
    with pytest.raises(Unfit) as caught:
        from_text(pa.array([b"ok", None, b"\xff\xfe"]), Column("x", T.TEXT))
    assert (caught.value.index, caught.value.why) == (2, "a value of 2 bytes that are not UTF-8 does not fit text")


@pytest.mark.parametrize("days", [-719_163, 2_932_897])
def test_years_that_text_cannot_carry_are_refused(days: int) -> None:
    with pytest.raises(Unfit) as caught:
        to_text(pa.array([0, None, days], pa.int32()).cast(pa.date32()), Column("x", T.DATE))
    assert caught.value.index == 2
    instants = pa.array([0, days * 86_400_000_000], pa.int64()).cast(pa.timestamp("us", "UTC"))
    with pytest.raises(Unfit):
        to_text(instants, Column("x", T.TIMESTAMPTZ))


def test_shapes_show_no_values() -> None:
    assert shape("9712.345") == "a value of the shape 9999.999"
    assert shape("John Smith, 1970-01-01") == "a value of the shape 'aaaa aaaaa, 9999-99-99'"
    assert shape("x" * 100) == f"a value of the shape {'a' * 40} (100 characters)"
    assert shape(b"\xff") == "a value of 1 bytes that are not UTF-8"
    assert shape(3.5) == "a value of the type float"
    assert shape("") == "an empty text"
    assert shape("NULL") == "the text 'NULL'"
