"""The port that every engine implements, and the small values that cross it."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from agentd.datastores.port.definitions import Definition, Waiver
from agentd.datastores.port.failures import StepFailure
from agentd.proof.types import Columns

# Rows in one batch between engines: large enough for vectorised work, small enough for bounded memory.
BATCH_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Location:
    """A dataset at one place: its name for messages, the object (table, or path below the root), columns and key.

    Empty `columns` mean that the engine is asked. Empty `key` means that no key is known.
    """

    dataset: str
    object: str
    columns: Columns = ()
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """What an engine says about an object. `rows_estimate` is 0 where it is not known cheaply."""

    columns: Columns
    key: tuple[str, ...] = ()
    rows_estimate: int = 0


def _nothing(*_: object, **__: object) -> None:
    """For callers that do not watch."""


def _directly(work: Callable[[], Any]) -> Any:
    """For callers around whom there is no sandbox."""
    return work()


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes, and the calls back to who runs it.

    `fence` is valid for `target` only. `evict` names earlier attempts that may still hold the destination.
    `reach(point)` marks an exact point of the publish; `progress(rows)` moves the watermark; `waits(text)` says what
    the work waits for; `check_cancelled` raises Cancelled; `before_destructive` raises where the local deadline has
    passed; `outside` runs what must see more of the host than a step may, such as who holds a file.
    """

    target: str
    fence: int
    attempt_id: str
    migration_id: str
    evict: tuple[str, ...] = ()
    reach: Callable[[str], None] = field(default=_nothing)
    progress: Callable[[int], None] = field(default=_nothing)
    waits: Callable[[str], None] = field(default=_nothing)
    check_cancelled: Callable[[], None] = field(default=_nothing)
    before_destructive: Callable[[], None] = field(default=_nothing)
    outside: Callable[[Callable[[], Any]], Any] = field(default=_directly)

    def reading(self, done: int = 0) -> Callable[[], None]:
        """To be called with every batch that is read again: it moves the watermark on from `done`, so that the lease
        goes on."""
        batches = itertools.count(done + 1)
        return lambda: self.progress(next(batches))


@dataclass(frozen=True, slots=True)
class Input:
    """What is about to be published: where from (digest of the staged rows, 16 bytes) and how it meets what is
    there, with what that may lose."""

    digest: bytes
    columns: Columns
    replace: bool = False
    waive: tuple[Waiver, ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """Outcome of a publish. `already` is True where an earlier attempt's publish was taken over as it is. `waived` is
    what the replaced object had and the new one has not; `former_kept` is True where what was there before is kept for
    undo."""

    rows: int
    fence: int
    already: bool = False
    waived: tuple[Definition, ...] = ()
    former_kept: bool = False


@dataclass(frozen=True, slots=True)
class Undo:
    """What an undo knows from the control plane, for what the destination does not remember itself.

    `columns` are those of the input; `published_fence` is that of the newest publish that was reported, 0 where none
    was; `discard_changes` is a person's consent to lose what was changed since; `migration` is the id for messages, in
    which the control plane puts the name.
    """

    columns: Columns = ()
    published_fence: int = 0
    discard_changes: bool = False
    migration: str = ""


@dataclass(frozen=True, slots=True)
class FenceRecord:
    """What a destination remembers about one target.

    `fence` and `attempt_id` are the newest accepted writer's. `published_fence` is 0 unless this target is published
    now.
    """

    fence: int
    attempt_id: str
    published_fence: int = 0
    input_digest: bytes = b""
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Removed:
    """What a clean-up took away: tables, files or directories, and their bytes as far as the engine tells."""

    count: int = 0
    freed_bytes: int = 0


Cells = list[str | None]


class Datastore(Protocol):
    """One place that holds datasets. Every method opens and closes what it needs, and raises StepFailure only."""

    def check(self) -> None:
        """Reach the place and see that the role may do what Haulier needs; raises StepFailure that says what to
        mend."""

    def objects(self) -> list[str]:
        """Names of the objects that `describe` would accept, sorted, at most 1000."""

    def describe(self, location: Location) -> Description:
        """Columns, key and estimated rows of an object; refuses by name a column type that is not moved exactly."""

    def definitions(self, location: Location) -> list[Definition]:
        """What hangs on the object beside its rows, in order; names only."""

    def read(self, location: Location, columns: Columns) -> Iterator[pa.RecordBatch]:
        """One consistent pass over all rows in the columns' exact Arrow form; a value that does not fit is a
        failure."""

    def publish(
        self, location: Location, writer: Writer, source: Input, batches: Iterator[pa.RecordBatch]
    ) -> Published:
        """Make exactly these rows the object's content, at once, behind the fence. Raises Fenced where refused."""

    def adopt(self, location: Location, writer: Writer, source: Input) -> Published | None:
        """Take over this migration's publish of the same input under the writer's higher fence; None if there is
        none."""

    def withdraw(self, location: Location, writer: Writer, undo: Undo) -> None:
        """Raise the fence and restore what was there before this migration published, even if it never did.

        Raises StepFailure, with nothing but the fence touched, where what is there is not what was published, as it was
        published, or where what would come back is not what was kept (`agentd.datastores.fences.stuck`).
        """

    def drop_former(self, location: Location, writer: Writer) -> Removed:
        """Raise the fence and remove the content that this migration's publish kept for undo. Its records stay, so that
        a later undo finds that what it would put back is gone. Harmless where nothing was kept, or twice."""

    def read_fence(self, location: Location, target: str) -> FenceRecord | None:
        """What the destination remembers about the target; None if nothing."""

    def query(self, location: Location, columns: Columns, sql: str, scratch: Path) -> list[Cells]:
        """Rows of one SELECT as text cells, run locked in: nothing but this datastore's data can be read, nothing
        written.

        `scratch` is a directory of the attempt's own for what has to be materialised on the way.
        """


def not_found(place: str, found: str, available: list[str]) -> StepFailure:
    """Failure for an object that is not there, with what is."""
    shown = ", ".join(available[:8]) + (" …" if len(available) > 8 else "")
    return StepFailure(
        "not_found",
        f"datastore {place!r} has no object {found!r}",
        f"It has: {shown}." if available else "It has no objects.",
    )
