"""A release's artefact from a directory: the same bytes from the same files, whoever builds it and when.

A tar compressed by zstd. Its first member is `release.json`, which names every other one; the rest follows in the order
of the names' bytes. Owners, times and all mode bits but "may be executed" are dropped.
"""

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zstandard

from controlplane import durable
from controlplane.core import versions
from controlplane.releases import settings_check

RELEASE = "release.json"
FORMAT = 1
SYSTEM = "linux"
LEVEL = 9


class BadTree(Exception):
    """This directory cannot become a release; says which path, and why."""


@dataclass(frozen=True, slots=True)
class Built:
    """An artefact. `digest` is its SHA-256, hex; `unpacked_bytes` the size of the tar inside."""

    path: Path
    version: str
    architecture: str
    min_from: str
    digest: str
    length: int
    unpacked_bytes: int
    settings: tuple[str, ...] = ()  # names of the settings that it brings, such as settings/policy.toml


def target_path(version: str, architecture: str) -> str:
    """The artefact's name in signed metadata."""
    return f"haulier-agentd-{version}-{architecture}.tar.zst"


def build(
    tree: Path, version: str, architecture: str, min_from: str, output: Path, settings: Path | None = None
) -> Built:
    """Pack `tree` into `output`, which appears whole or not at all. `min_from` is the oldest version that can follow
    it, or ""; `settings` a directory of configuration and policy that become part of it.

    Raises BadTree, ValueError for what is not a version, OSError.
    """
    for each in (version, *([min_from] if min_from else [])):
        versions.parse(each)
    places = {name: tree / name for name in _files_of(tree)}
    if settings is not None:
        places |= _brought(tree, places, settings)
    if _settings(places) and (problem := settings_check.problem(tree, settings or tree / settings_check.PREFIX)):
        raise BadTree(problem)
    files = {name: _described(places[name], name) for name in sorted(places, key=lambda name: name.encode("utf-8"))}
    told = {
        "format": FORMAT,
        "version": version,
        "architecture": architecture,
        "os": SYSTEM,
        "min_from": min_from,
        "files": files,
    }
    head = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    with durable.replacing(output, mode=None) as file:
        compressor = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True)
        with compressor.stream_writer(file, closefd=False) as packed:
            counted = _Counted(packed)
            with tarfile.open(fileobj=counted, mode="w|", format=tarfile.PAX_FORMAT) as archive:
                _add(archive, output, RELEASE, {"mode": 0o644, "bytes": len(head)}, head)
                for name, entry in files.items():
                    _add(archive, places[name], name, entry)
    with output.open("rb") as made:
        digest = hashlib.file_digest(made, "sha256").hexdigest()
    length = output.stat().st_size
    return Built(
        path=output,
        version=version,
        architecture=architecture,
        min_from=min_from,
        digest=digest,
        length=length,
        unpacked_bytes=counted.written_bytes,
        settings=_settings(files),
    )


def read(path: Path) -> Built:
    """What an artefact says of itself. Raises BadTree when it is none, OSError."""
    written_bytes = 0
    try:
        with (
            path.open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file) as stream,
            tarfile.open(fileobj=stream, mode="r|") as archive,
        ):
            first = archive.next()
            opened = archive.extractfile(first) if first is not None and first.name == RELEASE else None
            if opened is None:
                raise BadTree(f"{path}: is not an artefact: it does not begin with {RELEASE}")
            told = json.loads(opened.read())
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            while piece := stream.read(1 << 20):
                written_bytes += len(piece)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        said = (told["version"], told["architecture"], told["min_from"])
        return Built(path, *said, digest, path.stat().st_size, written_bytes, _settings(told["files"]))
    except (tarfile.TarError, zstandard.ZstdError, ValueError, KeyError, TypeError) as error:
        raise BadTree(f"{path}: is not an artefact ({error}); make one with `haulier release build`") from error


class _Counted(io.RawIOBase):
    """Counts what passes."""

    def __init__(self, into: Any) -> None:
        self._into = into
        self.written_bytes = 0

    def write(self, data: Any) -> int:
        """Pass on."""
        self._into.write(data)
        self.written_bytes += len(data)
        return len(data)


def _brought(tree: Path, places: Iterable[str], settings: Path) -> dict[str, Path]:
    if _settings(places):
        raise BadTree(f"{tree}: holds {settings_check.PREFIX} already: remove it, or build without --settings")
    try:
        found = {settings_check.PREFIX + path.name: path for path in settings.iterdir()}
    except OSError as error:
        raise BadTree(f"{settings}: cannot be read: {error.strerror}") from error
    if not found:
        raise BadTree(f"{settings}: holds no settings")
    return found


def _settings(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in names if name.startswith(settings_check.PREFIX)))


def _files_of(tree: Path) -> list[str]:
    """Paths of all files and links below `tree`, in the order of their bytes. Raises BadTree."""
    if not tree.is_dir():
        raise BadTree(f"{tree}: is not a directory")
    found = []
    for directory, directories, files in os.walk(tree):
        linked = [name for name in directories if (Path(directory) / name).is_symlink()]
        found += [str((Path(directory) / name).relative_to(tree)) for name in (*files, *linked)]
    found = [name for name in found if name != RELEASE]
    if not found:
        raise BadTree(f"{tree}: holds no file")
    try:
        return sorted(found, key=lambda name: name.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise BadTree(f"{tree}: a file's name is not UTF-8: {error.object!r}") from None


def _described(path: Path, name: str) -> dict[str, Any]:
    kind = path.lstat()
    if stat.S_ISLNK(kind.st_mode):
        return {"link": str(path.readlink())}
    if not stat.S_ISREG(kind.st_mode):
        raise BadTree(f"{name}: is neither a file nor a link")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": digest, "mode": 0o755 if kind.st_mode & 0o111 else 0o644, "bytes": kind.st_size}


def _add(archive: tarfile.TarFile, path: Path, name: str, entry: dict[str, Any], data: bytes | None = None) -> None:
    member = tarfile.TarInfo(name)
    if "link" in entry:
        member.type, member.linkname, member.mode = tarfile.SYMTYPE, entry["link"], 0o777
        archive.addfile(member)
        return
    member.mode, member.size = entry["mode"], entry["bytes"]
    with io.BytesIO(data) if data is not None else path.open("rb") as file:
        archive.addfile(member, file)
