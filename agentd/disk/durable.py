"""Files that are wholly old or wholly new, whatever happens in between, and that a loss of power does not take back.

The bytes are written beside the name and made durable, then they get the name in one act, then the name is made durable
in its directory. A process that is killed on the way leaves at most a hidden file `.NAME.PID-THREAD.new`. Everything
here raises OSError, with what was there before still there, unless only the last act, making the name durable, failed.
"""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, BinaryIO

PRIVATE = 0o600
_BY_UMASK = 0o666


def replace(path: Path, data: bytes, *, mode: int | None = PRIVATE, synced: bool = True) -> None:
    """Let the file at `path` hold `data`, in place of whatever it held. See ``replacing`` for `mode` and `synced`."""
    with replacing(path, mode=mode, synced=synced) as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: Path, *, mode: int | None = PRIVATE, synced: bool = True) -> Iterator[BinaryIO]:
    """A new file, which takes the place of the one at `path` when the block ends, and goes if the block raises.

    Its permissions are `mode` whatever the umask is; None leaves them to the umask. Without `synced`, readers still see
    one whole file or the other, but a loss of power may take it back: that is for what a boot makes void.
    """
    draft = _draft_of(path)
    try:
        with _created(draft, mode) as file:
            yield file
            if synced:
                sync_file(file)
        draft.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    if synced:
        sync(path.parent)


def create(path: Path, data: bytes, *, mode: int | None = PRIVATE, synced: bool = True) -> None:
    """Make a file that was not there, whole. Of several who try at once, one succeeds; the others: FileExistsError."""
    draft = _draft_of(path)
    try:
        with _created(draft, mode) as file:
            file.write(data)
            if synced:
                sync_file(file)
        # Renaming would replace what another has made meanwhile.
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    if synced:
        sync(path.parent)


def move(source: Path, target: Path) -> None:
    """Give a file or directory, whose content is durable already, another name; it replaces a file of that name."""
    source.rename(target)
    sync(target.parent)
    if source.parent != target.parent:
        sync(source.parent)


def link(source: Path, target: Path) -> None:
    """Give a file, whose content is durable already, a second name. Raises FileExistsError where that is taken."""
    os.link(source, target)
    sync(target.parent)


def point(path: Path, to: str) -> None:
    """Let `path` be a symbolic link to `to`, in place of whatever it was."""
    draft = _draft_of(path)
    draft.unlink(missing_ok=True)
    try:
        draft.symlink_to(to)
        draft.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file for good. Raises FileNotFoundError where there is none."""
    path.unlink()
    sync(path.parent)


def make_directory(path: Path, *, mode: int = 0o700) -> None:
    """Make a directory, and what is missing above it, each durable in its parent. Nothing happens where it is there."""
    missing = []
    at = path
    while not at.is_dir():
        missing.append(at)
        at = at.parent
    for each in reversed(missing):
        try:
            each.mkdir(mode)
        except FileExistsError:
            if not each.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(each)) from None
        sync(each.parent)


def fill_directory(path: Path, files: Mapping[str, bytes | bytearray]) -> None:
    """Make a directory with these files, all of it durable but its own name: that it gets by ``move`` or ``point``."""
    path.mkdir(mode=0o700)
    for name, data in files.items():
        with _created(path / name, PRIVATE) as file:
            file.write(data)
            sync_file(file)
    sync(path)


def sync_file(file: IO[bytes]) -> None:
    """Make what was written to an open file durable; its name is another matter."""
    file.flush()
    os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Make the content of a file durable, or the names in a directory."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _draft_of(path: Path) -> Path:
    # Named by process and thread, so that two who write the same file at once never rename each other's half.
    return path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}.new")


@contextlib.contextmanager
def _created(path: Path, mode: int | None) -> Iterator[BinaryIO]:
    """A new file; one that an earlier process of this number left is removed first. No link is followed."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, _BY_UMASK if mode is None else mode)
    with os.fdopen(descriptor, "wb") as file:
        # File systems without permissions refuse to be asked for fewer.
        if mode is not None and mode & ~os.fstat(descriptor).st_mode:
            os.fchmod(descriptor, mode)
        yield file
