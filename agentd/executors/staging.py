"""Staged parts: a directory MIGRATION/STEP/ATTEMPT of Parquet files with the digest of every row that went in.

`manifest.json` is written last and durably: a directory without one is an attempt that did not finish.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa
from google.protobuf import json_format
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.files.places import ParquetPlace
from agentd.datastores.forms.arrow_form import conformed
from agentd.datastores.forms.parquet_files import FileWriter, batches_of
from agentd.datastores.port.datastore import Removed
from agentd.datastores.port.failures import StepFailure, naming_os_errors
from agentd.datastores.port.messages import bad_params
from agentd.datastores.port.sharing import Sharing
from agentd.disk import durable
from agentd.disk.free_space import size
from agentd.executors import leftovers
from agentd.executors.context import Context
from agentd.executors.mounts import require_mounted
from agentd.executors.translate import column_message, columns, counted, place
from agentd.proof.digests import DatasetDigest, combined
from agentd.proof.types import Columns

MANIFEST = "manifest.json"
PART_ROWS = 131_072
PART_ROWS_MAX = 4_194_304
ATTEMPT_PREFIX = "att_"
# Staged parts are for the agents' own user, unless their Datastore says otherwise.
PRIVATE_MODE = 0o600
_OWN = re.compile(r"part-\d{5,}\.parquet|\.?manifest\.json(\.tmp|\.\d+-\d+\.new)?")
# att_STEP_NUMBER, and the store's generation where the step is older than that.
_ATTEMPT = re.compile(r"att_[0-9a-f]+_(\d+)(?:_([0-9a-f]+))?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def place_of(ctx: Context, datastore: k.Datastore, writes: bool = False) -> ParquetPlace:
    """Where a staging datastore is: a Parquet directory that is there and, where it was mounted, still is."""
    found = place(ctx, datastore)
    if not isinstance(found, ParquetPlace):
        raise bad_params(f"staging datastore {datastore.name!r} is not a Parquet directory")
    require_mounted(ctx, datastore.name, found.root, marks=writes)
    return found


def directory_name(ctx: Context) -> str:
    """MIGRATION/STEP/ATTEMPT below the root. Whoever could choose these names freely could remove what is there."""
    return f"{step_directory(ctx.migration_id, ctx.step_id)}/{_named(ATTEMPT_PREFIX, ctx.attempt_id)}"


def step_directory(migration_id: str, step_id: str) -> str:
    """MIGRATION/STEP below the root; refuses what is not the name of either."""
    return f"{_named('mig_', migration_id)}/{_named('step_', step_id)}"


def _named(prefix: str, part: str) -> str:
    if not part.startswith(prefix) or not _NAME.fullmatch(part):
        raise bad_params(f"{part!r} cannot name a directory")
    return part


def finished(ctx: Context, datastore: k.Datastore) -> k.Staged | None:
    """What this very attempt staged, if it finished."""
    path = place_of(ctx, datastore).root / directory_name(ctx) / MANIFEST
    try:
        return json_format.Parse(path.read_text(), k.Staged())
    except (OSError, json_format.ParseError):
        return None


class _Part:
    """One part on its way to disk."""

    def __init__(self, path: Path, found: Columns) -> None:
        self.path = path
        self.digest = DatasetDigest(found)
        self._writer = FileWriter(path, found)

    def write(self, batch: pa.RecordBatch) -> None:
        self.digest.add(batch)
        self._writer.write(batch)

    def close(self) -> k.StagedPart:
        self._writer.close()
        return k.StagedPart(
            file=self.path.name,
            rows=self.digest.rows,
            size_bytes=self.path.stat().st_size,
            digest=self.digest.value(),
            file_sha256=sha256_of(self.path),
        )

    def abandon(self) -> None:
        self._writer.abandon()


def sha256_of(path: Path) -> bytes:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def stage(
    ctx: Context,
    datastore: k.Datastore,
    found: Columns,
    batches: Iterable[pa.RecordBatch],
    part_rows_max: int = 0,
    total: int = 0,
) -> k.Staged:
    """Write all rows as parts of at most `part_rows_max` rows, with digests taken on the way; durable on return.

    Starts from an empty directory, so an attempt that is run again leaves nothing of its first run.
    """
    part_rows = min(part_rows_max or PART_ROWS, PART_ROWS_MAX)
    name = directory_name(ctx)
    where = place_of(ctx, datastore, writes=True)
    directory = where.root / name
    amount = _Amount(directory, total)
    sharing = Sharing(where.name, where.file_mode or PRIVATE_MODE, where.group)
    with naming_os_errors("staging parts", directory, amount.needed), sharing.applied():
        _remove_attempt(directory)
        _remove_earlier(directory)
        leftovers.remove_dead(ctx, where.root, _remove_unfinished)
        sharing.make(directory, where.root)
        with _removed_unless_finished(directory), leftovers.recorded(ctx, where.root, name):
            parts = list(_parts(ctx, directory, found, batches, part_rows, amount))
            staged = k.Staged(
                datastore=datastore,
                directory=name,
                columns=[column_message(c) for c in found],
                parts=parts,
                rows=sum(p.rows for p in parts),
                digest=combined(p.digest for p in parts),
            )
            ctx.reach("before_publish")
            _finish(directory, staged)
    ctx.reach("after_publish")
    return staged


class _Amount:
    """How much an attempt has staged so far, of how much. `total` rows are an estimate, 0 where there is none."""

    def __init__(self, directory: Path, total: int) -> None:
        self._directory = directory
        self.total = total
        self.rows = 0

    def needed(self) -> str:
        """What is written, and what all of it would take as far as that is known."""
        written = sum(each.stat().st_size for each in self._directory.glob("*"))
        if not self.rows:
            return f"not one of about {self.total:,} rows could be written" if self.total else "no row could be written"
        done = f"{size(written)} were written for {self.rows:,} rows"
        if self.total <= self.rows:
            return f"{done}, which is not all"
        return f"{done} of about {self.total:,}, so all of them need about {size(written * self.total / self.rows)}"


@contextmanager
def _removed_unless_finished(directory: Path) -> Iterator[None]:
    """Remove what an attempt staged if it does not come to its end: the next one needs the room."""
    try:
        yield
    except BaseException:
        # An interrupt too leaves nothing that nobody will ever read; it goes on its way afterwards.
        with suppress(StepFailure, OSError):
            _remove_attempt(directory)
        raise


def _remove_unfinished(directory: Path) -> None:
    """Remove what an attempt left that did not come to its end; what it finished stays, its word may be on its way."""
    if not (directory / MANIFEST).exists():
        with suppress(StepFailure, OSError):
            _remove_attempt(directory)


def _remove_earlier(own: Path) -> None:
    """Remove what earlier attempts of this step left: whoever staged it is not its step's attempt any more."""
    mine = _order(own.name)
    if mine is None or not own.parent.is_dir():
        return
    for other in own.parent.iterdir():
        order = _order(other.name)
        if order is not None and order < mine:
            # What is nothing that a step has staged stays: it is not in the way either.
            with suppress(StepFailure, FileNotFoundError):
                _remove_attempt(other)


def _order(attempt_id: str) -> tuple[int, int] | None:
    """Where an attempt stands among those of its step: by the store's generation where it has one, then its number."""
    found = _ATTEMPT.fullmatch(attempt_id)
    return None if found is None else (int(found[2] or "0", 16), int(found[1]))


def _parts(
    ctx: Context,
    directory: Path,
    found: Columns,
    batches: Iterable[pa.RecordBatch],
    part_rows: int,
    amount: _Amount,
) -> Iterator[k.StagedPart]:
    part: _Part | None = None
    number = done_bytes = 0
    try:
        for batch in batches:
            ctx.check_cancelled()
            done_bytes += batch.nbytes
            while batch.num_rows:
                if part is None:
                    number += 1
                    part = _Part(directory / f"part-{number:05d}.parquet", found)
                head = batch.slice(0, part_rows - part.digest.rows)
                part.write(head)
                amount.rows += head.num_rows
                batch = batch.slice(head.num_rows)  # noqa: PLW2901 - what is left of it
                if part.digest.rows >= part_rows:
                    yield part.close()
                    part = None
            ctx.progress(amount.rows, amount.total, done_bytes, stage="staging")
        if part is not None:
            yield part.close()
            part = None
    finally:
        if part is not None:
            part.abandon()


def _finish(directory: Path, staged: k.Staged) -> None:
    durable.replace(directory / MANIFEST, json_format.MessageToJson(staged).encode("utf-8"), mode=None)
    for above in list(directory.parents)[:3]:
        durable.sync(above)


def told(staged: k.Staged) -> str:
    """What was staged, for people: "3 parts, 12,345,678 bytes"."""
    return f"{counted(len(staged.parts), 'part')}, {counted(sum(p.size_bytes for p in staged.parts), 'byte')}"


def files_of(ctx: Context, staged: k.Staged) -> list[Path]:
    """Paths of the parts, each seen to be the very file that was staged; StepFailure (corrupt_staging) otherwise."""
    root = place_of(ctx, staged.datastore).root
    directory = root / staged.directory
    if not directory.resolve().is_relative_to(root.resolve()) or not staged.directory:
        raise bad_params(f"staged directory {staged.directory!r} is not below its root")
    files = []
    for part in staged.parts:
        if not _NAME.fullmatch(part.file):
            raise bad_params(f"staged part {part.file!r} is not a file name")
        path = directory / part.file
        with naming_os_errors("opening a staged part"):
            if path.stat().st_size != part.size_bytes or sha256_of(path) != part.file_sha256:
                raise StepFailure(
                    "corrupt_staging",
                    f"staged part {staged.directory}/{part.file} is not what its step wrote",
                    "Something else wrote to the staging directory; retry the step that staged it.",
                )
        files.append(path)
    return files


def rows_of(ctx: Context, staged: k.Staged) -> Iterator[pa.RecordBatch]:
    """All staged rows in exact Arrow form, in the order written."""
    found = columns(staged.columns)
    for path in files_of(ctx, staged):
        with naming_os_errors("reading a staged part"):
            yield from conformed(batches_of(path), found, path.name)


def remove_step(ctx: Context, datastore: k.Datastore) -> None:
    """Remove everything that any attempt of this step staged. Harmless where there is nothing."""
    try:
        root = place_of(ctx, datastore).root
    except StepFailure as failure:
        if failure.code == "not_found":
            return
        raise
    _remove(ctx, root, ctx.step_id)


def clean_up(ctx: Context, datastore: k.Datastore, step_id: str) -> Removed:
    """Remove everything that any attempt of a step of this migration staged. Harmless where there is nothing.

    Raises StepFailure where the place itself is not there: what is on a disk that is away is not removed.
    """
    return _remove(ctx, place_of(ctx, datastore).root, step_id)


def _remove(ctx: Context, root: Path, step_id: str) -> Removed:
    """Remove a step's directory, and that of its migration with the last of its steps."""
    directory = root / step_directory(ctx.migration_id, step_id)
    ctx.before_destructive()
    with naming_os_errors("removing staged parts", directory):
        if not directory.is_dir():
            return Removed()
        attempts = sorted(directory.iterdir())
        freed_bytes = sum(_remove_attempt(attempt) for attempt in attempts)
        directory.rmdir()
        durable.sync(directory.parent)
        with suppress(OSError):
            directory.parent.rmdir()
            durable.sync(root)
    return Removed(len(attempts), freed_bytes)


def _remove_attempt(directory: Path) -> int:
    """Remove what an attempt staged, and nothing that no attempt stages: that is somebody else's. Returns its bytes."""
    if not os.path.lexists(directory):
        return 0
    is_ours = directory.name.startswith(ATTEMPT_PREFIX) and directory.is_dir() and not directory.is_symlink()
    strange = [] if not is_ours else [each.name for each in directory.iterdir() if not _OWN.fullmatch(each.name)]
    if not is_ours or strange:
        raise StepFailure(
            "not_staged",
            f"{directory}{''.join('/' + name for name in strange[:1])} is nothing that a step has staged",
            "Move it away: steps remove only what steps have staged.",
        )
    freed_bytes = sum(each.lstat().st_size for each in directory.iterdir())
    shutil.rmtree(directory)
    return freed_bytes
