"""Differences: every differing row is counted, and the named ones are named rightly."""

from collections import Counter, defaultdict
from collections.abc import Iterator

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from agentd.proof.diff import Differences, differences
from agentd.proof.types import Column, Columns, ColumnType, arrow_schema
from tests.kit import torture

COLUMNS: Columns = (Column("id", ColumnType.INT64), Column("word", ColumnType.TEXT))


class MemoryBuckets:
    """Buckets in memory."""

    def __init__(self) -> None:
        self._found: dict[str, bytes] = defaultdict(bytes)

    def add(self, name: str, data: bytes) -> None:
        self._found[name] += data

    def take(self, name: str) -> bytes:
        return self._found.pop(name, b"")


Rows = list[tuple[int, str | None]]


def read(rows: Rows) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(rows), 3):
        part = rows[start : start + 3]
        cells = [pa.array([r[0] for r in part], pa.int64()), pa.array([r[1] for r in part], pa.string())]
        yield pa.RecordBatch.from_arrays(cells, schema=arrow_schema(COLUMNS))


def compare(expected: Rows, found: Rows, key: tuple[str, ...] = ("id",), limit: int = 20) -> Differences:
    return differences(lambda: read(expected), lambda: read(found), COLUMNS, key, MemoryBuckets(), limit)


def test_each_kind_is_named_by_its_key() -> None:
    expected: Rows = [(1, "a"), (2, "b"), (3, None), (4, "d")]
    found: Rows = [(1, "a"), (3, ""), (4, "D"), (5, "e")]
    result = compare(expected, found)
    named = {
        (d.kind, d.key["id"]): {n: (d.expected or {})[n] for n in d.changed()} and (d.expected, d.found)
        for d in result.rows
    }
    assert named == {
        ("missing", "2"): {},
        ("unexpected", "5"): {},
        ("changed", "3"): ({"id": "3", "word": None}, {"id": "3", "word": ""}),
        ("changed", "4"): ({"id": "4", "word": "d"}, {"id": "4", "word": "D"}),
    }
    assert {name for d in result.rows for name in d.changed()} == {"word"}
    assert result.count == 4


def test_without_a_key_rows_are_named_by_their_digest() -> None:
    result = compare([(1, "a"), (1, "a"), (2, None)], [(1, "a"), (2, "b")], key=())
    assert {d.kind: d.key for d in result.rows} == {"missing": {}, "unexpected": {}}
    assert sorted((d.kind, str(d.expected or d.found)) for d in result.rows) == [
        ("missing", "{'id': '1', 'word': 'a'}"),
        ("missing", "{'id': '2', 'word': None}"),
        ("unexpected", "{'id': '2', 'word': 'b'}"),
    ]
    assert len({d.digest for d in result.rows}) == 3


def test_only_so_many_are_named_but_all_are_counted() -> None:
    result = compare([(i, "x") for i in range(500)], [(i, "y") for i in range(500)], limit=20)
    assert (len(result.rows), result.count) == (20, 500)
    assert {d.kind for d in result.rows} == {"changed"}


def test_every_type_can_be_named() -> None:
    batch = torture.batch(60)
    result = differences(lambda: iter([batch]), lambda: iter([]), torture.COLUMNS, (), MemoryBuckets(), limit=100)
    assert (len(result.rows), result.count) == (60, 60)
    assert all(set(d.expected or {}) == {c.name for c in torture.COLUMNS} for d in result.rows)


def test_a_row_that_changed_between_the_passes_is_still_counted() -> None:
    passes: list[Rows] = [[(1, "a")], [(1, "b")]]
    reads = iter(passes)
    result = differences(lambda: read(next(reads)), lambda: read([]), COLUMNS, ("id",), MemoryBuckets())
    assert result.count == 1
    (row,) = result.rows
    assert (row.kind, row.key, row.expected, len(row.digest)) == ("missing", {}, None, 16)


rows = st.lists(st.tuples(st.integers(0, 6), st.none() | st.sampled_from(["", "a", "b"])), max_size=25)


@settings(max_examples=200, deadline=None)
@given(rows, rows)
def test_counts_are_those_of_multisets(expected: Rows, found: Rows) -> None:
    missing, unexpected = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
    assert compare(expected, found, key=()).count == missing.total() + unexpected.total()
    keys = {k for k, _ in missing} | {k for k, _ in unexpected}
    by_key = sum(
        max(sum(n for (k, _), n in missing.items() if k == key), sum(n for (k, _), n in unexpected.items() if k == key))
        for key in keys
    )
    assert compare(expected, found).count == by_key
