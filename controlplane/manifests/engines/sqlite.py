"""The engine SQLite."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from haulier.v1 import kinds_pb2
from pydantic import Field

from controlplane.manifests.engines.engine import Engine, PlaceKey
from controlplane.manifests.engines.spec import LOCK_WAIT, AbsolutePath, FilesSpec, labels_of, lock_wait_s, sharing
from controlplane.manifests.kinds.model import Duration


class SqliteSpec(FilesSpec):
    """One SQLite file."""

    engine: Literal["sqlite"]
    path: AbsolutePath = Field(description="Absolute path of the file on the host.")
    lock_wait: Duration = LOCK_WAIT


def _store(spec: SqliteSpec) -> kinds_pb2.SqliteStore:
    return kinds_pb2.SqliteStore(path=spec.path, lock_wait_s=lock_wait_s(spec.lock_wait), **sharing(spec))


def _place_key(spec: SqliteSpec, object_name: str) -> PlaceKey:
    return ("sqlite", str(PurePosixPath(spec.path)), object_name.casefold(), *labels_of(spec))


SQLITE = Engine(
    name="sqlite",
    title="SQLite files",
    spec=SqliteSpec,
    store=_store,
    place_key=_place_key,
    declares_columns=True,
    ignores_case=True,
)
