"""The engine DuckDB."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from haulier.v1 import kinds_pb2
from pydantic import Field

from controlplane.manifests.engines.engine import Engine, PlaceKey
from controlplane.manifests.engines.spec import LOCK_WAIT, AbsolutePath, FilesSpec, labels_of, lock_wait_s, sharing
from controlplane.manifests.kinds.model import Duration


class DuckdbSpec(FilesSpec):
    """One DuckDB file."""

    engine: Literal["duckdb"]
    path: AbsolutePath = Field(description="Absolute path of the file on the host.")
    lock_wait: Duration = LOCK_WAIT


def _store(spec: DuckdbSpec) -> kinds_pb2.DuckdbStore:
    return kinds_pb2.DuckdbStore(path=spec.path, lock_wait_s=lock_wait_s(spec.lock_wait), **sharing(spec))


def _place_key(spec: DuckdbSpec, object_name: str) -> PlaceKey:
    return ("duckdb", str(PurePosixPath(spec.path)), object_name.casefold(), *labels_of(spec))


DUCKDB = Engine(
    name="duckdb",
    title="DuckDB files",
    spec=DuckdbSpec,
    store=_store,
    place_key=_place_key,
    ignores_case=True,
)
