"""Name the rows in which two datasets differ, in bounded memory; run only after their digests disagreed.

Both sides are read twice. The first pass puts 32 bytes per row (digest of the key, digest of the row) into buckets
chosen by the key's digest, so that both versions of a row meet in one bucket; buckets are then compared one at a time,
and may lie on disk meanwhile. The second pass fetches the content of the few rows that are to be named.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from agentd.proof.digests import row_digests
from agentd.proof.types import Columns

Reader = Callable[[], Iterator[pa.RecordBatch]]

BUCKETS = 64
_WIDTH = 32


Row = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class RowDifference:
    """One row that differs. `kind` is missing, unexpected or changed.

    `key` holds the cells of the key columns, and nothing where no key is known; `digest` is the row's, 16 bytes.
    `expected` and `found` are the whole row on either side: None where that side has none, or where it has gone between
    the passes. Cells are text, or None for NULL.
    """

    kind: str
    key: Row
    digest: bytes
    expected: Row | None
    found: Row | None

    def changed(self) -> tuple[str, ...]:
        """Names of the columns in which the two sides differ, in order; none where one side has no such row."""
        wanted, got = self.expected, self.found
        if wanted is None or got is None:
            return ()
        return tuple(name for name in wanted if wanted[name] != got.get(name))


@dataclass(frozen=True, slots=True)
class Differences:
    """The first differing rows, and how many there are in all."""

    rows: tuple[RowDifference, ...]
    count: int


@dataclass(frozen=True, slots=True)
class _Pair:
    """A differing row by digests; one side is empty where the row is on the other only."""

    expected: bytes
    found: bytes


class Buckets(Protocol):
    """Where the first pass keeps its bytes: in memory for small data, in files otherwise."""

    def add(self, name: str, data: bytes) -> None:
        """Append to a bucket."""

    def take(self, name: str) -> bytes:
        """Everything added to a bucket, which is forgotten; empty for one never added to."""


def differences(
    expected: Reader, found: Reader, columns: Columns, key: tuple[str, ...], buckets: Buckets, limit: int = 20
) -> Differences:
    """Compare two multisets of rows in the columns' exact Arrow form; names at most `limit` rows and counts all."""
    keyed = tuple(c for c in columns if c.name in key) if key else ()
    sides = {"expected": expected, "found": found}
    for side, read in sides.items():
        _scatter(read, columns, keyed, buckets, side)
    pairs: list[_Pair] = []
    count = 0
    for number in range(BUCKETS):
        differing = _compare(*(_counted(buckets.take(f"{side}-{number:02d}")) for side in sides))
        count += len(differing)
        pairs += differing[: limit - len(pairs)]
    rows_expected = _fetch(expected, columns, {p.expected for p in pairs if p.expected})
    rows_found = _fetch(found, columns, {p.found for p in pairs if p.found})
    named = tuple(_named(p, rows_expected, rows_found, keyed) for p in pairs)
    return Differences(named, count)


def _digests(batch: pa.RecordBatch, columns: Columns, keyed: Columns) -> Iterator[tuple[bytes, bytes]]:
    rows = row_digests(batch, columns)
    keys = row_digests(batch.select([c.name for c in keyed]), keyed) if keyed else rows
    return zip(keys, rows, strict=True)


def _scatter(read: Reader, columns: Columns, keyed: Columns, buckets: Buckets, side: str) -> None:
    for batch in read():
        gathered: dict[int, list[bytes]] = {}
        for key, row in _digests(batch, columns, keyed):
            gathered.setdefault(key[0] % BUCKETS, []).append(key + row)
        for number, cells in gathered.items():
            buckets.add(f"{side}-{number:02d}", b"".join(cells))


def _counted(data: bytes) -> dict[bytes, Counter[bytes]]:
    """Rows of one bucket by key digest."""
    counted: dict[bytes, Counter[bytes]] = {}
    for start in range(0, len(data), _WIDTH):
        key, row = data[start : start + 16], data[start + 16 : start + _WIDTH]
        counted.setdefault(key, Counter())[row] += 1
    return counted


def _compare(expected: dict[bytes, Counter[bytes]], found: dict[bytes, Counter[bytes]]) -> list[_Pair]:
    pairs: list[_Pair] = []
    for key in sorted(expected.keys() | found.keys()):
        wanted, got = expected.get(key, Counter()), found.get(key, Counter())
        if wanted == got:
            continue
        missing, unexpected = sorted((wanted - got).elements()), sorted((got - wanted).elements())
        changed = min(len(missing), len(unexpected))
        pairs += [_Pair(a, b) for a, b in zip(missing, unexpected, strict=False)]
        pairs += [_Pair(a, b"") for a in missing[changed:]]
        pairs += [_Pair(b"", b) for b in unexpected[changed:]]
    return pairs


def _fetch(read: Reader, columns: Columns, wanted: set[bytes]) -> dict[bytes, Row]:
    """Content of the wanted rows by row digest; stops reading when all are found."""
    rows: dict[bytes, Row] = {}
    if not wanted:
        return rows
    for batch in read():
        for index, digest in enumerate(row_digests(batch, columns)):
            if digest in wanted and digest not in rows:
                rows[digest] = {c.name: _text(batch.column(c.name)[index]) for c in columns}
        if len(rows) == len(wanted):
            break
    return rows


def _text(value: pa.Scalar) -> str | None:
    if not value.is_valid:
        return None
    if pa.types.is_binary(value.type):
        return f"\\x{value.as_py().hex()}"
    if pa.types.is_decimal(value.type):
        return f"{value.as_py():f}"
    return str(value.cast(pa.string()).as_py())


def _named(pair: _Pair, expected: dict[bytes, Row], found: dict[bytes, Row], keyed: Columns) -> RowDifference:
    # A row may have gone between the passes; its digest is still the truth of the first pass.
    wanted, got = expected.get(pair.expected), found.get(pair.found)
    whole = wanted or got or {}
    kind = "changed" if pair.expected and pair.found else "missing" if pair.expected else "unexpected"
    key = {c.name: whole[c.name] for c in keyed if c.name in whole}
    return RowDifference(kind, key, pair.expected or pair.found, wanted, got)
