"""Gathers manifests from paths as a request: files, directories with everything below them, standard input."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from haulier.v1 import operator_pb2 as op

from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem

SUFFIXES = (".yaml", ".yml")
STDIN = "-"
# One apply is one request, all or nothing, so it must fit into one message of the public listener.
REQUEST_BYTES_MAX = 32 << 20
# What a file costs in the message beside its path and content: tags and lengths.
_FILE_BYTES_EXTRA = 16


def gather(paths: Sequence[str], stdin: BinaryIO) -> list[op.ManifestFile]:
    """The files below `paths`, each once, in the order given and by name within a directory.

    Raises Problem for a path that does not exist, holds no manifest, or makes the request too large; OSError for
    one that cannot be read.
    """
    room = REQUEST_BYTES_MAX
    seen: set[tuple[int, int]] = set()
    files: list[op.ManifestFile] = []
    for path in _expand(paths):
        if path == STDIN:
            name, content = "<stdin>", stdin.read(room + 1)
        else:
            with open(path, "rb") as file:  # noqa: PTH123  (10,000 files: no Path object for each)
                status = os.fstat(file.fileno())
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
                name, content = _printable(path), file.read(room + 1)
        room -= len(content) + len(name) + _FILE_BYTES_EXTRA
        if room < 0:
            raise Problem(
                f"the manifests are larger than {REQUEST_BYTES_MAX >> 20} MiB, the most that one request may hold",
                where=name,
                hint="apply them in several calls: datastores and workflows first, then datasets, then migrations",
                code=Exit.USAGE,
            )
        files.append(op.ManifestFile(path=name, content=content))
    return files


def _expand(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        if path == STDIN or not Path(path).is_dir():
            yield path
            continue
        empty = True
        for found in _below(path):
            empty = False
            yield found
        if empty:
            raise Problem(
                "the directory holds no manifests",
                where=_printable(path),
                hint=f"manifests are files that end in {' or '.join(SUFFIXES)}",
                code=Exit.USAGE,
            )


def _below(directory: str) -> Iterator[str]:
    """Manifest files below a directory; hidden ones (.git, .github) are not meant."""

    def refuse(error: OSError) -> None:
        raise error

    for folder, subfolders, names in os.walk(directory, onerror=refuse):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        for name in sorted(names):
            if name.endswith(SUFFIXES) and not name.startswith("."):
                yield os.path.join(folder, name)  # noqa: PTH118  (10,000 files: no Path object for each)


def _printable(path: str) -> str:
    """The path as UTF-8 text, as the contract asks; bytes that are no UTF-8 are replaced."""
    return os.fsencode(path).decode("utf-8", "replace")
