"""Whether a table is what was published, as it was published: its identity, its shape and its rows.

A publish remembers the *traits* of its table beside the fence: the engine's own mark of that very table where there is
one (PostgreSQL's oid), its columns, and what is attached to it, such as indexes and triggers. Its rows are remembered
by their number and digest, which the staged input already had. Undo and every later publish compare all of that before
they touch the table. A table that took the name, rows that an application wrote and an index that somebody made are
not Haulier's to destroy.

What a publish finds there and keeps is remembered alike. Its rows have a digest of their own, over the engine's values
as they are: a kept table may hold types that Haulier does not move.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from agentd.datastores.port.failures import StepFailure
from agentd.proof.digests import DatasetDigest
from agentd.proof.types import Column, Columns, ColumnType

MODULUS = 1 << 128

# Reads all rows of a table of ours in exact Arrow form, within the session's transaction.
Content = Callable[[str, Columns], Iterator[pa.RecordBatch]]
# Hears of each batch of rows that was read.
Watched = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Traits:
    """A table as its engine describes it, without its rows.

    `mark` is the engine's own id of this very table, "" where it has none. `columns` are (name, type with what it
    refuses); `attached` names what would go with the table: `index things_note`, `trigger audit`; `definition` stands
    for what both leave out, such as the text of defaults and checks, which may hold values and is in no message.
    """

    kind: str
    mark: str
    columns: tuple[tuple[str, str], ...]
    attached: tuple[str, ...] = ()
    definition: str = ""

    def cells(self) -> dict[str, Any]:
        """As JSON can carry it."""
        return {
            "kind": self.kind,
            "mark": self.mark,
            "columns": [list(each) for each in self.columns],
            "attached": list(self.attached),
            "definition": self.definition,
        }


def defined_by(*texts: object) -> str:
    """A `definition` of these texts."""
    return hashlib.blake2b(repr(texts).encode(), digest_size=16).hexdigest()


def _traits(cells: dict[str, Any]) -> Traits:
    columns = tuple((str(name), str(kind)) for name, kind in cells["columns"])
    return Traits(cells["kind"], cells["mark"], columns, tuple(cells["attached"]), cells["definition"])


class TableSession(Protocol):
    """What comparing needs of an engine's connection."""

    def traits(self, table: str) -> Traits | None:
        """The table or view of this name; None where there is none."""

    def named_now(self, mark: str) -> str:
        """The name that the table of this mark has now; "" where it is gone or the engine has no marks."""

    def row_sums(self, table: str) -> Iterator[Sequence[int]]:
        """For each row, a whole number that depends on all its values as the engine holds them; many at a time."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a publish left, as it was remembered. `traits` is None where a release remembered it that kept none."""

    traits: Traits | None
    columns: Columns
    rows: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class RecordedKept:
    """What a publish found and keeps. `rows` is -1 until its rows have been read."""

    traits: Traits
    rows: int = -1
    sum: int = 0


def identity_text(traits: Traits, columns: Columns) -> str:
    """Traits, and the columns as which the rows are digested, as one line of JSON."""
    read_as = [[c.name, int(c.type), c.precision, c.scale, c.required] for c in columns]
    return json.dumps(traits.cells() | {"read_as": read_as})


def recorded(text: str, columns: Columns, rows: int, digest: bytes) -> Recorded:
    """Inverse of `identity_text`; an empty text gives no traits, and `columns` stand in for those it lacks."""
    if not text:
        return Recorded(None, columns, rows, digest)
    cells = json.loads(text)
    read_as = tuple(Column(n, ColumnType(t), p, s, required=r) for n, t, p, s, r in cells["read_as"])
    return Recorded(_traits(cells), read_as, rows, digest)


def kept_text(kept: RecordedKept) -> str:
    """What is kept, as one line of JSON."""
    return json.dumps(kept.traits.cells() | {"rows": kept.rows, "sum": str(kept.sum)})


def recorded_kept(text: str) -> RecordedKept | None:
    """Inverse of `kept_text`; None for an empty text."""
    if not text:
        return None
    cells = json.loads(text)
    return RecordedKept(_traits(cells), cells["rows"], int(cells["sum"]))


def summed(session: TableSession, table: str, watched: Watched) -> tuple[int, int]:
    """Number of rows, and the sum of their `row_sums`."""
    rows = total = 0
    for sums in session.row_sums(table):
        rows += len(sums)
        total = (total + sum(sums)) % MODULUS
        watched()
    return rows, total


def differences(
    session: TableSession, table: str, published: Recorded, content: Content, watched: Watched
) -> list[str]:
    """How the table differs from what was published, in words that hold no value; empty where it does not.

    Rows are read only where the shape is as it was, and only once.
    """
    found = session.traits(table)
    differ = shape_differences(session, found, published.traits)
    return differ or _row_differences(table, published, content, watched)


def shape_differences(session: TableSession, found: Traits | None, was: Traits | None) -> list[str]:
    """How a table differs from what it was, without a look at its rows."""
    if found is None:
        name = session.named_now(was.mark) if was is not None else ""
        return [f"it was renamed to {name!r}" if name else "it is not there any more"]
    if was is None:
        return [] if found.kind == "table" else [f"a {found.kind} has taken its name"]
    if found.kind != was.kind or not same_mark(found.mark, was.mark):
        name = session.named_now(was.mark)
        return [f"another {found.kind} has taken its name" + (f", and it was renamed to {name!r}" if name else "")]
    differ = [*_column_differences(dict(was.columns), dict(found.columns)), *_attached_differences(was, found)]
    return differ or ([] if found.definition == was.definition else ["its definition was changed"])


def same_mark(found: str, was: str) -> bool:
    """Whether two marks can be of one table. A mark is OBJECT/LEDGER: where the ledger's own is another too, the whole
    database was restored from a dump, and marks of before say nothing."""
    found_object, _, found_ledger = found.partition("/")
    was_object, _, was_ledger = was.partition("/")
    return found_object == was_object or found_ledger != was_ledger


def _column_differences(was: dict[str, str], found: dict[str, str]) -> Iterator[str]:
    yield from (f"column {name!r} is gone" for name in was if name not in found)
    yield from (f"column {name!r} was added" for name in found if name not in was)
    for name, kind in was.items():
        if name in found and found[name] != kind:
            yield f"column {name!r} was {kind} and is {found[name]}"


def _attached_differences(was: Traits, found: Traits) -> Iterator[str]:
    yield from (f"{each} is gone" for each in was.attached if each not in found.attached)
    yield from (f"{each} was added" for each in found.attached if each not in was.attached)


# A changed table may hold what cannot be read as what was published.
_UNREADABLE = frozenset({"value_does_not_fit", "columns_differ", "unsupported_type", "corrupt_file"})


def _row_differences(table: str, published: Recorded, content: Content, watched: Watched) -> list[str]:
    digest = DatasetDigest(published.columns)
    try:
        for batch in content(table, published.columns):
            digest.add(batch)
            watched()
    except StepFailure as err:
        if err.code not in _UNREADABLE:
            raise
        changed = "columns or values" if published.traits is None else "values"
        return [f"it holds {changed} that it was not published with"]
    if digest.rows != published.rows:
        return [f"it has {counted(digest.rows)}, and {counted(published.rows)} were published"]
    if digest.value() != published.digest:
        return [f"it has {counted(digest.rows)} as published, and not the same ones"]
    return []


def kept_differences(session: TableSession, table: str, kept: RecordedKept | None, watched: Watched) -> list[str]:
    """How a kept table differs from what was found there; nothing is said of one that was not remembered."""
    if kept is None:
        return []
    differ = shape_differences(session, session.traits(table), kept.traits)
    if differ or kept.rows < 0:
        return differ
    rows, total = summed(session, table, watched)
    if rows != kept.rows:
        return [f"it has {counted(rows)}, and had {counted(kept.rows)}"]
    return [] if total == kept.sum else [f"it has {counted(rows)} as before, and not the same ones"]


def counted(rows: int) -> str:
    """`1 row`, `7 rows`."""
    return "1 row" if rows == 1 else f"{rows} rows"
