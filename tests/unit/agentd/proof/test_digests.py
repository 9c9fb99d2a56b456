"""Digests of datasets: whatever the order and the parts, and never blind to a row that is there twice."""

import random

import pyarrow as pa

from agentd.proof.digests import EMPTY, combined, digest_of, row_digests
from agentd.proof.types import Column, ColumnType
from tests.kit import torture

COLUMNS = torture.COLUMNS


def test_order_and_parts_do_not_matter() -> None:
    batch = torture.batch(200)
    whole = digest_of([batch], COLUMNS)
    order = list(range(200))
    random.Random(1).shuffle(order)
    shuffled = batch.take(pa.array(order))
    parts = [shuffled.slice(i, 30) for i in range(0, 200, 30)]
    assert digest_of(parts, COLUMNS).value() == whole.value()
    assert combined(digest_of([p], COLUMNS).value() for p in parts) == whole.value()
    assert whole.rows == 200


def test_nothing_is_zero() -> None:
    assert digest_of([], COLUMNS).value() == combined([]) == EMPTY == bytes(16)


def test_a_row_twice_is_not_a_row_missing_twice() -> None:
    batch = torture.batch(3)
    one, two, three = (digest_of([batch] * n, COLUMNS).value() for n in (1, 2, 3))
    assert len({one, two, three, EMPTY}) == 4


def test_digests_are_pinned() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([1, None, 3])], names=["a"])
    columns = (Column("a", ColumnType.INT64),)
    assert [d.hex() for d in row_digests(batch, columns)] == ROWS
    assert digest_of([batch], columns).value().hex() == WHOLE


ROWS = ["0d1b07b0141aa0014cd174f56578dff3", "576c9881c7a78e8d265e20e610ed07fe", "cfc7286c048772345d6ddf30471d8b10"]
WHOLE = "344ec89de049a0c2d09d750bbd837301"
