"""Every engine that this agent has. An engine that is not in here is refused, wherever it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentd.datastores.duckdb.engine import DUCKDB
from agentd.datastores.files.engines import CSV, PARQUET
from agentd.datastores.port.engine import Engine, PlaceAsked
from agentd.datastores.port.messages import bad_params
from agentd.datastores.postgresql.engine import POSTGRESQL
from agentd.datastores.sqlite.engine import SQLITE

if TYPE_CHECKING:
    from haulier.v1 import kinds_pb2 as k

ENGINES: dict[str, Engine] = {engine.name: engine for engine in (CSV, PARQUET, SQLITE, DUCKDB, POSTGRESQL)}


def engine_of(message: k.Datastore) -> Engine:
    """The engine of a datastore's message; raises StepFailure (bad_params) where this agent has none."""
    found = ENGINES.get(message.WhichOneof("engine") or "")
    if found is None:
        raise bad_params(f"datastore {message.name!r} has no engine this agent knows")
    return found


def place_asked(message: k.Datastore) -> PlaceAsked:
    """A datastore's definition in the policy's words; raises StepFailure (bad_params) for an engine unknown here."""
    return engine_of(message).asked_of(message)
