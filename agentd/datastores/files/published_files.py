"""Whether a file is what was published, as it was published.

Names of data below the log carry the SHA-256 of what they hold, as `data-000002-SHA256.csv`, so an entry that names a
file tells its content too. Undo and every later publish read the file at the bare name once before they touch it: a
file that took the name, and rows that somebody wrote, are not Haulier's to destroy. Logs of earlier releases have names
without it; there the file's size and time tell, and else its rows and their digest.

A file has no lock that stops writers. What was read is therefore looked at once more at the last moment (`Look`):
another file, size or time, and nothing is replaced.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agentd.datastores.fences.as_published import counted
from agentd.datastores.files.file_log import Entry, LogState, mark_of
from agentd.datastores.port.failures import StepFailure
from agentd.disk import durable
from agentd.proof.digests import DatasetDigest

_NAMED = re.compile(r"-([0-9a-f]{64})(\.[^.]*)?$")
_BLOCK_BYTES = 8 * 1024 * 1024

Watched = Callable[[], None]
# Reads a file's rows with the columns that were published; raises StepFailure where it cannot be read so.
Reread = Callable[[Path], DatasetDigest]


@dataclass(frozen=True, slots=True)
class Look:
    """What a glance tells of a name: which file it is, its size in bytes and its time in ns; zeros where none is."""

    inode: int = 0
    size: int = 0
    modified_ns: int = 0


def look(path: Path) -> Look:
    """A glance at a name. A symbolic link is itself looked at."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return Look()
    return Look(found.st_ino, found.st_size, found.st_mtime_ns)


def sha256_of(path: Path, watched: Watched) -> str:
    """SHA-256 of a file's bytes, in hex; `watched` hears of every block."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            watched()
    return digest.hexdigest()


def named_by_content(path: Path, watched: Watched) -> Path:
    """Rename a file so that its name carries its SHA-256; returns the new path."""
    named = path.with_name(f"{path.stem}-{sha256_of(path, watched)}{path.suffix}")
    durable.move(path, named)
    return named


def digest_in(name: str) -> str:
    """The SHA-256 that a name carries; "" where an earlier release named it."""
    found = _NAMED.search(name)
    return found[1] if found else ""


def changes(path: Path, home: Path, state: LogState, own: Entry, reread: Reread, watched: Watched) -> list[str]:
    """How what lies at the bare name differs from what `own` published there; empty where it does not.

    A bare name that was not derived yet, because its writer was killed, is not a difference: it is absent, or still
    holds what was there before.
    """
    if path.is_symlink():
        return ["a symbolic link has taken its name"]
    if not path.exists():
        return [] if (home / own.data).exists() else ["it is not there any more"]
    if path.is_dir():
        return ["a directory has taken its name"]
    mark = mark_of(path)
    if mark in state.superseded:
        return []
    wanted = digest_in(own.data)
    if not wanted and mark == own.mark:
        return []
    found = sha256_of(path, watched)
    if found == wanted or _is_kept(found, home, own, watched):
        return []
    return _row_differences(path, own, reread, may_be_equal=not wanted)


def _is_kept(found: str, home: Path, own: Entry, watched: Watched) -> bool:
    kept = home / own.kept
    return bool(own.kept) and kept.exists() and found == (digest_in(own.kept) or sha256_of(kept, watched))


def _row_differences(path: Path, own: Entry, reread: Reread, *, may_be_equal: bool) -> list[str]:
    try:
        digest = reread(path)
    except StepFailure:
        return ["it holds columns or values that it was not published with"]
    if digest.rows != own.rows:
        return [f"it has {counted(digest.rows)}, and {counted(own.rows)} were published"]
    if may_be_equal and digest.value().hex() == own.input_digest:
        return []
    return [f"it has {counted(digest.rows)} as published, and its bytes are not the same"]


def kept_changes(home: Path, state: LogState, own: Entry, watched: Watched) -> list[str]:
    """How the kept file differs from what was found there. Logs of earlier releases say it of what Haulier published
    itself, and of other files nothing."""
    wanted = digest_in(own.kept)
    if wanted:
        same = sha256_of(home / own.kept, watched) == wanted
    else:
        before = next((e for e in state.publishes if e.data == own.kept), None)
        same = before is None or mark_of(home / own.kept) == before.mark
    return [] if same else ["its bytes are not the same"]
