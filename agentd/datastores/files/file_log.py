"""The fence of a file: a log of numbered entries beside it, each created exactly once.

`_haulier/NAME/000001.json`, `000002.json`, … are made by link(), which fails where the name is taken: so each number
has one winner, on any file system that has links, and no clock or lock is involved. A writer appends a *claim* with
its fence, writes its data under a name of its own, and *publishes* exactly at claim + 1. Whoever claimed in between
owns that number, and the publish is refused.

Readers follow the newest publish. The bare file name is only a hard link (or copy) derived from the log after the
publish: renaming is unconditional, so it could never be the fence.
"""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from agentd.datastores.fences import stuck
from agentd.datastores.fences.publications import published_over
from agentd.datastores.port.datastore import FenceRecord, Undo, Writer
from agentd.datastores.port.failures import Fenced
from agentd.disk import durable

_NUMBERED = re.compile(r"^(\d{6,})\.json$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `kind` is claim, publish or withdraw.

    A publish names its `data` file and the `kept` earlier content (both below the log; "" is absence); a withdraw
    names in `data` what it restored and in `changed` whether there was anything to restore. `mark` is (size, mtime
    in ns) of the data, by which a derived name is recognised.
    """

    number: int
    kind: str
    target: str
    fence: int
    attempt_id: str
    migration_id: str
    data: str = ""
    kept: str = ""
    input_digest: str = ""
    rows: int = 0
    mark: tuple[int, int] = (0, 0)
    changed: bool = False


@dataclass(frozen=True, slots=True)
class LogState:
    """The log folded: live publishes oldest first, the content that readers see, and marks of all earlier contents.

    `content` is a file below the log, or None where the bare name decides (nothing published, or all withdrawn).
    """

    publishes: tuple[Entry, ...] = ()
    content: str | None = None
    restored: bool = False
    superseded: frozenset[tuple[int, int]] = frozenset()


def mark_of(path: Path) -> tuple[int, int]:
    """Size and modification time in nanoseconds."""
    found = path.stat()
    return (found.st_size, found.st_mtime_ns)


def link_or_copy(source: Path, destination: Path) -> None:
    """The same bytes under a second name, durable, with the same modification time. Never overwrites."""
    try:
        durable.link(source, destination)
    except OSError as err:
        if isinstance(err, FileExistsError | FileNotFoundError):
            raise
        # No hard links here (another device or a file system without them).
        with destination.open("xb") as written, source.open("rb") as read:
            shutil.copyfileobj(read, written, 1 << 20)
            durable.sync_file(written)
        shutil.copystat(source, destination)
        durable.sync(destination.parent)


class FileLog:
    """The log of one object, in its own directory `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def entries(self) -> list[Entry]:
        """All entries in order; none where there is no log."""
        try:
            names = [p.name for p in self.home.iterdir()]
        except FileNotFoundError:
            return []
        found = []
        for number, name in sorted((int(m[1]), m[0]) for m in map(_NUMBERED.match, names) if m):
            cells = json.loads((self.home / name).read_text())
            cells["mark"] = tuple(cells["mark"])
            found.append(Entry(**cells | {"number": number}))
        return found

    def append(self, entry: Entry) -> bool:
        """Create the entry under its number, durably; False where the number is taken."""
        path = self.home / f"{entry.number:06d}.json"
        try:
            durable.create(path, json.dumps(asdict(entry)).encode("utf-8"), mode=None)
        except FileExistsError:
            return False
        return True

    def require_not_stale(self, writer: Writer) -> list[Entry]:
        """The entries, if none of this target has a higher fence, or the same from another attempt."""
        entries = self.entries()
        for entry in entries:
            if entry.target != writer.target:
                continue
            if entry.fence > writer.fence:
                raise Fenced(writer.target, writer.fence, f"it has accepted fence {entry.fence} of {entry.attempt_id}")
            if entry.fence == writer.fence and entry.attempt_id != writer.attempt_id:
                raise Fenced(writer.target, writer.fence, f"the same fence was accepted from {entry.attempt_id}")
        return entries

    def claim(self, writer: Writer, *, sweeps: bool = True) -> int:
        """Append a claim and return its number; raises Fenced for a stale writer. With `sweeps`, what earlier claimants
        staged is removed."""
        durable.make_directory(self.home, mode=0o777)
        while True:
            entries = self.require_not_stale(writer)
            number = entries[-1].number + 1 if entries else 1
            if self.append(self._entry(number, "claim", writer)):
                if sweeps:
                    self._sweep(entries)
                return number

    def publish(self, entry: Entry) -> None:
        """Append at exactly claim + 1, which is the entry's number; raises Fenced where someone came between."""
        if not self.append(entry):
            raise self._overtaken(entry.number, entry.target, entry.fence)

    @contextmanager
    def claimed(self, writer: Writer, number: int) -> Iterator[None]:
        """What follows our claim `number`: where a file of ours is gone, whoever claimed after us swept it; Fenced."""
        try:
            yield
        except FileNotFoundError:
            self.require_newest_claim(writer, number)
            raise

    def require_newest_claim(self, writer: Writer, number: int) -> None:
        """Raise Fenced where somebody has claimed after our claim `number`."""
        if any(e.number > number for e in self.entries()):
            raise self._overtaken(number + 1, writer.target, writer.fence)

    def _overtaken(self, number: int, target: str, fence: int) -> Fenced:
        taken = next((e for e in self.entries() if e.number == number), None)
        by = f"{taken.attempt_id} with fence {taken.fence}" if taken else "another writer"
        return Fenced(target, fence, f"{by} claimed after us")

    @staticmethod
    def _entry(number: int, kind: str, writer: Writer) -> Entry:
        return Entry(number, kind, writer.target, writer.fence, writer.attempt_id, writer.migration_id)

    def _sweep(self, entries: list[Entry]) -> None:
        """Remove data files that no live publish needs: their writers can no longer publish them.

        A kept file goes only while its content still lies at the bare name. Where the log lost entries, it may be all
        that is left of somebody's data.
        """
        state = folded(entries)
        needed = {e.data for e in state.publishes} | {e.kept for e in state.publishes} | {state.content or ""}
        bare = self.home.parent.parent / self.home.name
        there = mark_of(bare) if bare.is_file() else None
        for path in list(self.home.iterdir()):
            spare = path.name.startswith("data-") or (path.name.startswith("kept-") and mark_of(path) == there)
            if spare and path.name not in needed:
                with suppress(FileNotFoundError):
                    path.unlink()


def folded(entries: list[Entry]) -> LogState:
    """What the entries amount to."""
    live: list[Entry] = []
    content: str | None = None
    restored = False
    marks: list[tuple[int, int]] = []
    for entry in entries:
        if entry.kind == "publish":
            live = [e for e in live if (e.target, e.migration_id) != (entry.target, entry.migration_id)]
            live.append(entry)
            content, restored = entry.data, False
            marks.append(entry.mark)
        elif entry.kind == "withdraw" and entry.changed:
            live = [e for e in live if (e.target, e.migration_id) != (entry.target, entry.migration_id)]
            content, restored = entry.data or None, True
    current = live[-1].mark if live else None
    return LogState(tuple(live), content, restored, frozenset(m for m in marks if m != current))


def record_of(entries: list[Entry], target: str) -> FenceRecord | None:
    """What the log says about one target, or else about whoever published last; None if nothing."""
    own = [e for e in entries if e.target == target]
    if not own and folded(entries).publishes:
        target = folded(entries).publishes[-1].target
        own = [e for e in entries if e.target == target]
    if not own:
        return None
    newest = max(own, key=lambda e: (e.fence, e.number))
    publishes = [e for e in folded(entries).publishes if e.target == target]
    if not publishes:
        return FenceRecord(newest.fence, newest.attempt_id)
    top = publishes[-1]
    return FenceRecord(newest.fence, newest.attempt_id, top.fence, bytes.fromhex(top.input_digest), top.rows)


def require_newest(state: LogState, writer: Writer) -> Entry | None:
    """This migration's live publish, None if there is none; raises StepFailure where another has published over
    it."""
    own = [e for e in state.publishes if (e.target, e.migration_id) == (writer.target, writer.migration_id)]
    if own and state.publishes[-1] != own[-1]:
        raise published_over(writer.target, state.publishes[-1].migration_id)
    return own[-1] if own else None


def require_nothing_forgotten(entries: list[Entry], writer: Writer, undo: Undo, found: str) -> None:
    """Nothing of this migration is published here, as far as the log knows. Refuse where it should know of it."""
    own = [e for e in entries if (e.target, e.migration_id) == (writer.target, writer.migration_id)]
    # A withdrawal carries a higher fence than any publish that it undid.
    ended = any(e.kind == "withdraw" and e.changed and e.fence >= undo.published_fence for e in own)
    if undo.published_fence and not ended:
        raise stuck.records_missing(found, undo)
