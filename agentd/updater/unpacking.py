"""From a verified artefact to a directory of a release: whole or not at all, and nothing outside of it.

The first member is `release.json`, which names every file with its size, mode and SHA-256, and every link. Whatever it
does not name exactly is refused, although the artefact's own digest is signed already: a mistake at signing must not
become a way out of the directory.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import zstandard

from agentd.disk import durable
from agentd.updater.refusing import Refused, of_os_error
from agentd.updater.verifying import SYSTEM, Verified

RELEASE = "release.json"
FORMAT = 1
RELEASE_BYTES_MAX = 16 * 1024**2
FILES_MAX = 200_000
MODES = (0o644, 0o755)
_DIRECTORY_MODE = 0o755
# Memory that a decompressor may take for its window.
WINDOW_BYTES_MAX = 64 * 1024**2
# A header's own content (long names) is read in one piece by the reader of archives.
_HEADER_BYTES_MAX = 64 * 1024
_PIECE_BYTES = 1024 * 1024


def unpack(verified: Verified, versions: Path) -> Path:
    """Unpack to ``versions/<digest>``, everything fsynced, and return that path. A whole tree of that name is used.

    Raises Refused with ``versions`` as it was, or OSError when the disk itself fails.
    """
    final = versions / verified.digest
    for left in versions.glob(".new-*"):
        shutil.rmtree(left)
    if final.is_dir() and not final.is_symlink() and not faults_of(final):
        return final
    fresh = versions / f".new-{verified.digest}"
    try:
        fresh.mkdir(mode=0o755)
        with verified.artefact.open("rb") as source:
            _unpack(source, fresh, verified)
        _flush_tree(fresh)
        if final.is_dir() and not final.is_symlink():
            # It is there and not whole: an older crash of the disk. Nothing runs from it, or it could not be here.
            durable.move(final, versions / f".new-{verified.digest}.broken")
        durable.move(fresh, final)
    except OSError as error:
        raise of_os_error(error) from error
    finally:
        for left in versions.glob(".new-*"):
            shutil.rmtree(left, ignore_errors=True)
    return final


def faults_of(tree: Path) -> list[str]:
    """What is not as the tree's own release.json says, as sentences; empty when it is whole."""
    try:
        listed = _listed(json.loads(_bounded(tree / RELEASE)))
    except (OSError, ValueError, Refused) as error:
        return [f"{RELEASE} cannot be used: {error}"]
    found = []
    for name, entry in listed.items():
        path = tree / name
        try:
            if entry.link:
                good = str(path.readlink()) == entry.link
            else:
                good = (
                    not path.is_symlink() and path.stat().st_size == entry.size_bytes and _digest(path) == entry.sha256
                )
        except OSError as error:
            found.append(f"{name}: {error.strerror}")
            continue
        if not good:
            found.append(f"{name} is not what was released")
    return found


@dataclass(frozen=True, slots=True)
class _Entry:
    """A file, or a link when `link` is set."""

    link: str = ""
    sha256: str = ""
    mode: int = 0
    size_bytes: int = 0


class _Forward:
    """A stream that only goes forward and ends at a limit, in the shape that the reader of archives wants."""

    def __init__(self, stream: BinaryIO, limit_bytes: int) -> None:
        self._stream = stream
        self._limit_bytes = limit_bytes
        self._at = 0
        self.piece_bytes_max = _HEADER_BYTES_MAX

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, fewer only at the end."""
        if not 0 <= size <= self.piece_bytes_max:
            raise Refused("bad_artefact", f"a header of the artefact asks for {size} bytes")
        pieces = []
        while size and (piece := self._stream.read(size)):
            self._at += len(piece)
            size -= len(piece)
            pieces.append(piece)
        if self._at > self._limit_bytes:
            raise Refused("bad_artefact", f"the artefact unpacks to more than the signed {self._limit_bytes} bytes")
        return b"".join(pieces)

    def seek(self, position: int) -> int:
        """Go forward to `position`."""
        if position < self._at:
            raise Refused("bad_artefact", "the artefact's members do not follow each other")
        while self._at < position and self.read(min(position - self._at, self.piece_bytes_max)):
            pass
        return self._at

    def tell(self) -> int:
        """How many bytes were read."""
        return self._at


def _unpack(source: BinaryIO, fresh: Path, verified: Verified) -> None:
    decompressor = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES_MAX)
    links: dict[str, str] = {}
    seen: set[str] = set()
    with _archive_errors(), decompressor.stream_reader(source) as stream:
        forward = _Forward(stream, verified.unpacked_bytes)
        with tarfile.open(fileobj=forward, mode="r:", errorlevel=2) as archive:  # type: ignore[call-overload]
            listed = _release(archive, verified, fresh)
            for member in archive:
                if member.name == RELEASE and not seen:
                    continue
                entry = listed.get(member.name)
                if entry is None or member.name in seen:
                    what = "twice" if member.name in seen else "without being listed"
                    raise Refused("bad_artefact", f"{member.name[:200]!r} is in the artefact {what}")
                seen.add(member.name)
                if entry.link:
                    if not member.issym() or member.linkname != entry.link:
                        raise Refused("bad_artefact", f"{member.name!r} is not the link that is listed")
                    links[member.name] = entry.link
                else:
                    if not member.isreg() or member.issparse() or member.size != entry.size_bytes:
                        raise Refused("bad_artefact", f"{member.name!r} is not the file that is listed")
                    _write(_pieces(archive, member), fresh / member.name, entry)
    if missing := listed.keys() - seen:
        raise Refused("bad_artefact", f"{len(missing)} listed files are not in the artefact, such as {min(missing)!r}")
    # Links come last, so that no file can have been written through one.
    for name, link in links.items():
        path = fresh / name
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.symlink_to(link)
    for name, link in links.items():
        _check_link(fresh, name, link)


def _release(archive: tarfile.TarFile, verified: Verified, fresh: Path) -> dict[str, _Entry]:
    """Read the first member, check that it is of this release, and write it."""
    member = archive.next()
    if member is None or member.name != RELEASE or not member.isreg() or not 0 < member.size <= RELEASE_BYTES_MAX:
        raise Refused("bad_artefact", f"the artefact does not begin with {RELEASE}")
    data = b"".join(_pieces(archive, member))
    try:
        told = json.loads(data)
        listed = _listed(told)
    except (ValueError, RecursionError) as error:
        raise Refused("bad_artefact", f"{RELEASE} cannot be read: {str(error)[:200]}") from error
    expected = {"version": verified.version, "architecture": verified.architecture, "os": SYSTEM}
    for name, value in expected.items():
        if told.get(name) != value:
            raise Refused("bad_artefact", f"{RELEASE} says {name} {str(told.get(name))[:40]!r}, signed is {value!r}")
    _write(iter([data]), fresh / RELEASE, _Entry("", hashlib.sha256(data).hexdigest(), 0o644, len(data)))
    return listed


def _listed(told: Any) -> dict[str, _Entry]:
    """The files of a release.json. Raises Refused."""
    files = told.get("files") if isinstance(told, dict) else None
    if not isinstance(files, dict) or told.get("format") != FORMAT or len(files) > FILES_MAX:
        raise Refused("bad_artefact", f"{RELEASE} is not of format {FORMAT}")
    listed: dict[str, _Entry] = {}
    for name, entry in files.items():
        _check_name(name)
        match entry:
            case {"link": str(link), **others} if not others and link:
                listed[name] = _Entry(link=link)
            case {"sha256": str(sha256), "mode": int(mode), "bytes": int(size_bytes), **others} if not others:
                if mode not in MODES or size_bytes < 0:
                    raise Refused("bad_artefact", f"{name!r} has mode {mode:o} and {size_bytes} bytes")
                listed[name] = _Entry("", sha256, mode, size_bytes)
            case _:
                raise Refused("bad_artefact", f"{name!r} is neither a file nor a link")
    for name in listed:
        if any(parent in listed for parent in map(str, PurePosixPath(name).parents)):
            raise Refused("bad_artefact", f"{name!r} lies below something that is not a directory")
    return listed


def _check_name(name: str) -> None:
    """A path of the tree is relative, in its shortest form, and stays inside."""
    parts = name.split("/")
    if not all(parts) or {".", ".."} & set(parts) or "\0" in name or name == RELEASE or len(name) > 4000:
        raise Refused("bad_artefact", f"{name[:200]!r} is not a path inside a release")


def _check_link(tree: Path, name: str, link: str) -> None:
    """A link leads to something inside the tree, whatever other links it passes."""
    try:
        inside = not link.startswith("/") and (tree / name).resolve(strict=True).is_relative_to(tree.resolve())
    except (OSError, RuntimeError):
        # It leads nowhere, or in a circle.
        inside = False
    if not inside:
        raise Refused("bad_artefact", f"the link {name!r} leads to {link[:200]!r}, which is not inside the release")


def _write(pieces: Iterator[bytes], path: Path, entry: _Entry) -> None:
    """Write one file as it is listed; the mode is the list's, never the archive's."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    found = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        for piece in pieces:
            found.update(piece)
            file.write(piece)
        if found.hexdigest() != entry.sha256:
            raise Refused("bad_artefact", f"{path.name!r} has another SHA-256 than is listed")
        os.fchmod(file.fileno(), entry.mode)


def _pieces(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Iterator[bytes]:
    """What a member holds, straight from the stream."""
    forward = archive.fileobj
    assert isinstance(forward, _Forward)
    forward.seek(member.offset_data)
    left_bytes = member.size
    forward.piece_bytes_max = _PIECE_BYTES
    try:
        while left_bytes and (piece := forward.read(min(left_bytes, _PIECE_BYTES))):
            left_bytes -= len(piece)
            yield piece
    finally:
        forward.piece_bytes_max = _HEADER_BYTES_MAX
    if left_bytes:
        raise Refused("bad_artefact", f"the artefact ends in the middle of {member.name!r}")


def _flush_tree(tree: Path) -> None:
    """Make every file and directory durable: after all were written, because one flush of a disk serves many files."""
    for directory, _, files in os.walk(tree):
        for name in files:
            if not (Path(directory) / name).is_symlink():
                durable.sync(Path(directory) / name)
        Path(directory).chmod(_DIRECTORY_MODE)
        durable.sync(Path(directory))


def _bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(RELEASE_BYTES_MAX + 1)
    if len(data) > RELEASE_BYTES_MAX:
        raise Refused("bad_artefact", f"{RELEASE} is too long")
    return data


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _archive_errors() -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, zstandard.ZstdError, UnicodeError, EOFError) as error:
        raise Refused("bad_artefact", f"the artefact is not an archive: {str(error)[:200]}") from error
