"""Backups: the store at one moment, and if asked for the identity, beside a running control plane."""

import io
import tarfile
from pathlib import Path
from typing import NamedTuple

from controlplane import durable
from controlplane.store.port import StoreFailed
from controlplane.store.sqlite.copying import copy_store

IDENTITY_SUFFIX = ".identity.tar"


class Backup(NamedTuple):
    """What was made."""

    store: Path
    size_bytes: int
    identity: Path | None


def back_up(store: Path, identity_dir: Path | None, file: Path) -> Backup:
    """Copy the store to ``file``, and the identity beside it if one is given. Raises ``StoreFailed`` or ``OSError``."""
    identity = file.with_name(file.name + IDENTITY_SUFFIX) if identity_dir is not None else None
    if identity is not None and identity.exists():
        raise StoreFailed(f"{identity} exists: a backup never replaces another, choose another name")
    copy_store(store, file)
    if identity is not None and identity_dir is not None:
        _pack(identity_dir, identity)
    return Backup(file, file.stat().st_size, identity)


def _pack(directory: Path, target: Path) -> None:
    """Write a directory's files as an archive that only its owner can read; whole or not at all."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(directory, arcname=directory.name)
    durable.create(target, packed.getvalue())
