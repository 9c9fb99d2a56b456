"""The Datastore kind: a named place that holds datasets, of one of these engines.

An engine that is not in the table is refused when its manifest is read.
"""

from __future__ import annotations

from controlplane.manifests.engines.duckdb import DUCKDB
from controlplane.manifests.engines.engine import Engine, PlaceKey
from controlplane.manifests.engines.files import CSV, PARQUET
from controlplane.manifests.engines.postgresql import POSTGRESQL
from controlplane.manifests.engines.spec import EngineSpec
from controlplane.manifests.engines.sqlite import SQLITE

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (CSV, PARQUET, SQLITE, DUCKDB, POSTGRESQL)}


def engine_of(spec: EngineSpec) -> Engine:
    """Return the engine of a Datastore."""
    return ENGINES[spec.engine]


def place_key(spec: EngineSpec, object_name: str) -> PlaceKey:
    """Return what identifies an object physically, so that two names of one place compare equal."""
    return engine_of(spec).place_key(spec, object_name)
