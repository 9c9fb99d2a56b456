"""A directory of files as source and fenced destination, whatever the file format.

An object is a path below the root: one file, or a directory of part files. What Haulier publishes is always one file
with the object's own name, derived from the log in `_haulier/` beside it (see `file_log`). A subclass knows the
format only.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from agentd.datastores.fences import stuck
from agentd.datastores.fences.eviction import OWN_DIRECTORY, holding
from agentd.datastores.fences.ledger import already_there
from agentd.datastores.files import file_log
from agentd.datastores.files.compression import require_plain
from agentd.datastores.files.directory_parts import Part, Parts, parts_of
from agentd.datastores.files.file_log import Entry, FileLog, LogState
from agentd.datastores.files.published_files import Look, Reread, changes, kept_changes, look, named_by_content
from agentd.datastores.port.datastore import (
    Cells,
    Description,
    FenceRecord,
    Input,
    Location,
    Published,
    Removed,
    Undo,
    Writer,
    not_found,
)
from agentd.datastores.port.definitions import Definition, in_order
from agentd.datastores.port.failures import StepFailure, naming_os_errors
from agentd.datastores.port.sharing import Sharing
from agentd.disk import durable
from agentd.proof.digests import digest_of
from agentd.proof.types import Column, Columns, ColumnType

_LISTED_MAX = 1000


class DirectoryDatastore(ABC):
    """Files of one format below one root. Subclasses read and write single files."""

    engine = ""
    suffixes: tuple[str, ...] = ()

    def __init__(self, name: str, root: Path, sharing: Sharing | None = None) -> None:
        self.name = name
        self.root = root
        self.sharing = sharing or Sharing(name)

    @abstractmethod
    def names_of(self, path: Path) -> list[str]:
        """Names of a file's columns, in order."""

    @abstractmethod
    def describe_file(self, path: Path, location: Location) -> Description:
        """A file's own columns, where it says or the location declares them, and its estimated rows."""

    @abstractmethod
    def define_file(self, path: Path) -> list[Definition]:
        """What a file has beside its rows."""

    @abstractmethod
    def read_file(self, path: Path, columns: Columns) -> Iterator[pa.RecordBatch]:
        """All rows of a file in exact Arrow form; its columns are exactly these."""

    @abstractmethod
    def holds_rows(self, path: Path) -> bool:
        """Whether a file in a directory of parts holds rows although it is not named like one."""

    @abstractmethod
    def write_file(self, path: Path, columns: Columns, batches: Iterator[pa.RecordBatch]) -> int:
        """Write a new file, durably; returns its rows."""

    def check(self) -> None:
        """The root is a directory that can be listed. Whether it can be written shows when something is published."""
        with naming_os_errors(f"datastore {self.name!r}, reading its root"):
            next(self.root.iterdir(), None)

    def objects(self) -> list[str]:
        """Files of the format below the root, relative, without Haulier's own."""
        found = []
        for directory, names, files in os.walk(self.root):
            names[:] = sorted(n for n in names if not n.startswith(("_", ".")))
            below = Path(directory).relative_to(self.root)
            found += [str(below / f) for f in files if f.endswith(self.suffixes) and f[0] not in "_."]
            if len(found) >= _LISTED_MAX:
                break
        return sorted(found)[:_LISTED_MAX]

    def _require_root(self) -> None:
        """Never create the root: an absent one may be a disk that is not mounted."""
        if not self.root.is_dir():
            raise StepFailure(
                "not_found",
                f"datastore {self.name!r}: its root {self.root} is not there",
                "Create it, or mount what belongs there.",
            )

    def _make_way(self, path: Path, log: FileLog) -> None:
        """Make the directories of an object and of its log that are missing."""
        own = path.parent / OWN_DIRECTORY
        self.sharing.make(own, self.root)
        for directory in (own, log.home):
            self.sharing.widen(directory)

    def path(self, found: str) -> Path:
        """Absolute path of an object; refuses one that leaves the root, by its text or by a symbolic link."""
        parts = Path(found).parts
        bad = not parts or "\0" in found or Path(found).is_absolute() or ".." in parts or OWN_DIRECTORY in parts
        path = self.root / found
        with naming_os_errors(f"datastore {self.name!r}"):
            bad = bad or not path.resolve().is_relative_to(self.root.resolve())
        if bad:
            raise StepFailure(
                "bad_name",
                f"datastore {self.name!r}: object {found!r} is not a path below the root",
                "Name it relative to the datastore's root, without `..`.",
            )
        return path

    def log(self, path: Path) -> FileLog:
        """The log of an object's path."""
        return FileLog(path.parent / OWN_DIRECTORY / path.name)

    def parts(self, found: str) -> Parts:
        """What to read for an object: by the log's newest publish, unless someone else put other content there."""
        path = self.path(found)
        with naming_os_errors(f"datastore {self.name!r}"):
            chosen = self._content(path, file_log.folded(self.log(path).entries()))
            if chosen is None or not chosen.exists():
                raise not_found(self.name, found, self.objects())
            if chosen.is_dir():
                return parts_of(chosen, self.root, self.suffixes, self.holds_rows)
            if not chosen.is_file():
                raise _no_file(self.name, found)
            return Parts((Part(chosen),))

    def _content(self, path: Path, state: LogState) -> Path | None:
        """What readers should see: the bare name, unless it is a left-over of a superseded publish or is gone."""
        expected = None if state.content is None else self.log(path).home / state.content
        if not path.exists():
            return expected
        if path.is_file() and file_log.mark_of(path) in state.superseded:
            return expected
        return path

    def describe(self, location: Location) -> Description:
        """Columns by the first part, with those that its directories name; rows by all parts."""
        with naming_os_errors(f"describing {self.name}:{location.object}"):
            columns, rows = location.columns, 0
            declared = {c.name: c for c in location.columns}
            for index, part in enumerate(self.parts(location.object).parts):
                require_plain(part.path)
                described = self.describe_file(part.path, location)
                rows += described.rows_estimate
                if index == 0 and not columns:
                    named = tuple(declared.get(n, Column(n, ColumnType.TEXT)) for n, _ in part.partitions)
                    columns = described.columns + named
                place = self._place(location, part)
                part.own(columns, self.names_of(part.path), place)
                part.typed(columns, place)
            return Description(columns, location.key, rows)

    def definitions(self, location: Location) -> list[Definition]:
        """What the files have beside their rows, and which files of a directory are not read."""
        with naming_os_errors(f"describing {self.name}:{location.object}"):
            found = self.parts(location.object)
            skipped = [Definition("skipped_file", name) for name in found.skipped]
            return in_order([*skipped, *(each for part in found.parts for each in self.define_file(part.path))])

    def read(self, location: Location, columns: Columns) -> Iterator[pa.RecordBatch]:
        """All rows, part by part."""
        with naming_os_errors(f"reading {self.name}:{location.object}"):
            for part in self.parts(location.object).parts:
                place = self._place(location, part)
                own = part.own(columns, self.names_of(part.path), place)
                for batch in self.read_file(part.path, own):
                    yield part.complete(batch, columns, place)

    def _place(self, location: Location, part: Part) -> str:
        return f"{self.name}:{location.object}" + (
            f" ({part.path.name})" if self.path(location.object).is_dir() else ""
        )

    def publish(
        self, location: Location, writer: Writer, source: Input, batches: Iterator[pa.RecordBatch]
    ) -> Published:
        """Write the data under the attempt's own name, append the publish at claim + 1, derive the bare name."""
        path = self.path(location.object)
        log = self.log(path)
        with naming_os_errors(f"publishing {self.name}:{location.object}", path), self.sharing.applied():
            log.require_not_stale(writer)
            self._require_root()
            self._make_way(path, log)
            with holding(path, writer):
                number = log.claim(writer)
                with log.claimed(writer, number):
                    rows, seen, kept = self._publish_at(path, log, writer, source, batches, number, location.object)
                writer.reach("after_publish")
                self._derive(path, log, writer, seen)
        return Published(rows, writer.fence, former_kept=bool(kept))

    def _publish_at(
        self,
        path: Path,
        log: FileLog,
        writer: Writer,
        source: Input,
        batches: Iterator[pa.RecordBatch],
        number: int,
        found: str,
    ) -> tuple[int, Look, str]:
        """Rows published, what lay at the bare name when it was kept, and the name under which it is kept."""
        state = file_log.folded(log.entries())
        seen = look(path)
        self._require_room(path, log, state, writer, source, found)
        data = log.home / f"data-{number:06d}{path.suffix}"
        try:
            data.unlink(missing_ok=True)
            rows = self.write_file(data, source.columns, _watched(batches, writer))
            data = named_by_content(data, writer.reading(rows))
            self.sharing.settle(data, path, is_ours=path.is_file() and _is_ours(path, state))
            writer.reach("before_publish")
            if look(path) != seen:
                log.require_newest_claim(writer, number)
                seen = look(path)
                self._require_room(path, log, state, writer, source, found)
            kept = self._keep(path, log, state, writer, number)
            writer.reach("publish_open")
        except BaseException:
            # An interrupt too leaves no data behind that nothing names; it goes on its way afterwards.
            data.unlink(missing_ok=True)
            raise
        entry = self._entry(number + 1, "publish", writer)
        digest, mark = source.digest.hex(), file_log.mark_of(data)
        log.publish(replace(entry, data=data.name, kept=kept, input_digest=digest, rows=rows, mark=mark))
        return rows, seen, kept

    @staticmethod
    def _entry(number: int, kind: str, writer: Writer) -> Entry:
        return Entry(number, kind, writer.target, writer.fence, writer.attempt_id, writer.migration_id)

    def _require_room(
        self, path: Path, log: FileLog, state: LogState, writer: Writer, source: Input, found: str
    ) -> None:
        if path.is_dir():
            raise StepFailure(
                "object_exists",
                f"{found!r} is a directory at the destination; Haulier publishes one file",
                "Choose an object name that is free, such as one with a file suffix.",
            )
        if not os.path.lexists(path):
            return
        top = state.publishes[-1] if state.publishes else None
        if top is None or top.target != writer.target:
            if not source.replace:
                raise already_there(found)
            _require_no_link(path, found)
            return
        is_own = top.migration_id == writer.migration_id
        # What an earlier migration of this target published, and somebody changed, is kept like what was there before.
        if source.replace and not is_own:
            _require_no_link(path, found)
            return
        differ = changes(path, log.home, state, top, self._reread(source.columns), writer.reading())
        if differ:
            raise stuck.changed_between(found, differ) if is_own else stuck.changed_since(found, differ)

    def _reread(self, columns: Columns) -> Reread:
        return lambda path: digest_of(self.read_file(path, columns), columns)

    def _keep(self, path: Path, log: FileLog, state: LogState, writer: Writer, number: int) -> str:
        """Name below the log of the content that undo restores; "" where there was none."""
        own = file_log.require_newest(state, writer) if state.publishes else None
        if own is not None:
            return own.kept
        current = self._content(path, state)
        if current is None:
            return ""
        if current.parent == log.home:
            return current.name
        if state.content is not None and file_log.mark_of(current) == state.publishes[-1].mark:
            return state.content
        kept = log.home / f"kept-{number:06d}{path.suffix}"
        kept.unlink(missing_ok=True)
        file_log.link_or_copy(current, kept)
        return named_by_content(kept, writer.reading()).name

    def _derive(self, path: Path, log: FileLog, writer: Writer, seen: Look | None) -> None:
        """Give the newest content its bare name; again, until the log has not moved meanwhile.

        `seen` is what may be replaced there. Without it, the bare name is touched only where it is absent or a
        left-over of a superseded publish: what somebody else put there since is theirs.
        """
        while True:
            entries = log.entries()
            if not entries:
                raise _moved(self.name, path)
            state = file_log.folded(entries)
            stale = path.is_file() and file_log.mark_of(path) in state.superseded
            due = (seen is not None or stale) and not self._is_derived(path, log, state)
            if state.content is not None and (due or not path.exists()):
                writer.before_destructive()
                temporary = path.parent / f".{path.name}.{writer.fence}.{os.getpid()}.tmp"
                temporary.unlink(missing_ok=True)
                file_log.link_or_copy(log.home / state.content, temporary)
                _require_still(path, seen, stale=stale, instead=temporary)
                durable.move(temporary, path)
            elif state.content is None and state.restored and path.exists() and due:
                writer.before_destructive()
                _require_still(path, seen, stale=stale)
                path.unlink()
            durable.sync(path.parent)
            if log.entries()[-1:] == entries[-1:]:
                return
            seen = look(path)

    @staticmethod
    def _is_derived(path: Path, log: FileLog, state: LogState) -> bool:
        """Whether the newest content has its bare name already."""
        content = None if state.content is None else log.home / state.content
        if content is None or not content.exists() or not path.is_file():
            return False
        return file_log.mark_of(path) == file_log.mark_of(content)

    def adopt(self, location: Location, writer: Writer, source: Input) -> Published | None:
        """Publish this migration's own data again under our fence, if it is there, whole, and from the same input."""
        path = self.path(location.object)
        log = self.log(path)
        with naming_os_errors(f"looking at {self.name}:{location.object}", path), self.sharing.applied():
            log.require_not_stale(writer)
            self._require_root()
            self._make_way(path, log)
            with holding(path, writer):
                number = log.claim(writer)
                state = file_log.folded(log.entries())
                top = state.publishes[-1] if state.publishes else None
                if (
                    top is None
                    or (top.target, top.migration_id) != (writer.target, writer.migration_id)
                    or top.input_digest != source.digest.hex()
                    or state.content is None
                    or not (log.home / state.content).exists()
                    or file_log.mark_of(log.home / state.content) != top.mark
                    or (path.exists() and file_log.mark_of(path) not in state.superseded | {top.mark})
                ):
                    return None
                taken = self._entry(number + 1, "publish", writer)
                log.publish(
                    replace(
                        taken,
                        data=top.data,
                        kept=top.kept,
                        input_digest=top.input_digest,
                        rows=top.rows,
                        mark=top.mark,
                    )
                )
                self._derive(path, log, writer, None)
                return Published(top.rows, writer.fence, already=True, former_kept=bool(top.kept))

    def withdraw(self, location: Location, writer: Writer, undo: Undo) -> None:
        """Raise the fence; give the kept content its bare name back, or remove ours."""
        path = self.path(location.object)
        log = self.log(path)
        with naming_os_errors(f"undoing {self.name}:{location.object}", path), self.sharing.applied():
            log.require_not_stale(writer)
            self._require_root()
            self._make_way(path, log)
            with holding(path, writer):
                # What the log has no entry for may be what this undo is about.
                number = log.claim(writer, sweeps=False)
                entries = log.entries()
                own = file_log.require_newest(file_log.folded(entries), writer)
                seen = None if own is None else look(path)
                if own is None:
                    file_log.require_nothing_forgotten(entries, writer, undo, location.object)
                else:
                    self._require_as_left(path, log, own, writer, undo, location.object)
                writer.reach("publish_open")
                entry = self._entry(number + 1, "withdraw", writer)
                log.publish(replace(entry, data=own.kept if own else "", changed=own is not None))
                writer.reach("after_publish")
                self._derive(path, log, writer, seen)

    def _require_as_left(self, path: Path, log: FileLog, own: Entry, writer: Writer, undo: Undo, found: str) -> None:
        """Refuse what is not what this migration left there, unless a person gave it up."""
        if path.is_dir() and not path.is_symlink():
            raise stuck.not_a_table(found, "directory", undo)
        state, watched = file_log.folded(log.entries()), writer.reading()
        differ = changes(path, log.home, state, own, self._reread(undo.columns), watched)
        if differ and not undo.discard_changes:
            raise stuck.not_as_published(found, differ, undo)
        if not own.kept:
            return
        shown = str((log.home / own.kept).relative_to(self.root))
        if not (log.home / own.kept).exists():
            raise stuck.kept_missing(found, shown, undo)
        differ = kept_changes(log.home, state, own, watched)
        if differ and not undo.discard_changes:
            raise stuck.kept_altered(found, shown, differ, undo)

    def drop_former(self, location: Location, writer: Writer) -> Removed:
        """Raise the fence; remove the kept file, unless it is what another publish made or would put back."""
        path = self.path(location.object)
        log = self.log(path)
        with naming_os_errors(f"cleaning up {self.name}:{location.object}"):
            log.require_not_stale(writer)
            self._require_root()
            if not log.home.is_dir():
                return Removed()
            with holding(path, writer):
                log.claim(writer)
                return self._drop_kept(log, writer)

    @staticmethod
    def _drop_kept(log: FileLog, writer: Writer) -> Removed:
        state = file_log.folded(log.entries())
        of_others = [e for e in state.publishes if (e.target, e.migration_id) != (writer.target, writer.migration_id)]
        needed = {e.data for e in state.publishes} | {e.kept for e in of_others} | {state.content or ""}
        own = next((e for e in state.publishes if e not in of_others), None)
        if own is None or not own.kept or own.kept in needed or not (log.home / own.kept).exists():
            return Removed()
        writer.reach("before_removing")
        writer.before_destructive()
        freed_bytes = (log.home / own.kept).stat().st_size
        durable.remove(log.home / own.kept)
        return Removed(1, freed_bytes)

    def read_fence(self, location: Location, target: str) -> FenceRecord | None:
        """The log's record for the target."""
        with naming_os_errors(f"reading the log of {self.name}:{location.object}"):
            return file_log.record_of(self.log(self.path(location.object)).entries(), target)

    def query(self, location: Location, columns: Columns, sql: str, scratch: Path) -> list[Cells]:
        """One SELECT in a locked DuckDB that sees nothing but the view `dataset`."""
        from agentd.datastores.sql.locked_sql import query_batches

        return query_batches(self.read(location, columns), columns, sql, scratch)


def _is_ours(path: Path, state: LogState) -> bool:
    """Whether the file under the bare name is one that Haulier published."""
    return file_log.mark_of(path) in {*state.superseded, *(each.mark for each in state.publishes)}


def _require_still(path: Path, seen: Look | None, *, stale: bool, instead: Path | None = None) -> None:
    """The last look before a bare name is given away: StepFailure where it is no longer what was read there."""
    now = look(path)
    if stale or now == (seen or Look()):
        return
    if instead is not None:
        instead.unlink()
    raise StepFailure(
        "not_as_published",
        f"{path.name!r}: somebody changed it while Haulier was about to replace it",
        "What is there was left alone. Move it away, then retry.",
    )


def _moved(name: str, path: Path) -> StepFailure:
    return StepFailure(
        "io_error",
        f"datastore {name!r}: the log beside {path} went away while it was written",
        "See who moves directories or changes links there.",
        retryable=True,
    )


def _require_no_link(path: Path, found: str) -> None:
    if path.is_symlink():
        raise StepFailure(
            "cannot_replace",
            f"{found!r} is a link: whoever reads the file that it leads to would go on with the old rows",
            "Name the file that it leads to, or remove the link.",
        )


def _no_file(name: str, found: str) -> StepFailure:
    """For pipes, sockets and devices: whoever opens one may wait for ever, or be answered by whoever made it."""
    return StepFailure("bad_name", f"datastore {name!r}: {found!r} is neither a file nor a directory", "Name a file.")


def _watched(batches: Iterator[pa.RecordBatch], writer: Writer) -> Iterator[pa.RecordBatch]:
    """The batches, with cancel looked at before each and the watermark moved after it."""
    rows = 0
    for batch in batches:
        writer.check_cancelled()
        yield batch
        rows += batch.num_rows
        writer.progress(rows)
