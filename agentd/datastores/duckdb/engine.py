"""DuckDB, as everything else of the agent reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentd.datastores.duckdb.place import DuckdbPlace
from agentd.datastores.port.engine import Engine, Failed, Inspection, Where
from agentd.datastores.port.lock_wait import LOCK_WAIT_S
from agentd.datastores.port.messages import absolute, sharing_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.v1 import kinds_pb2 as k

    from agentd.datastores.inspection.text import Proposal
    from agentd.datastores.port.datastore import Datastore


def _place(message: k.Datastore, side: str, password: str) -> DuckdbPlace:
    del side, password
    found = message.duckdb
    path, wait_s = absolute(found.path, "DuckDB path"), found.lock_wait_s or LOCK_WAIT_S
    return DuckdbPlace(message.name, path, *sharing_of(found), lock_wait_s=wait_s)


def _open(place: Any, attempt_id: str) -> Datastore:
    from agentd.datastores.duckdb.datastore import DuckdbDatastore

    del attempt_id
    return DuckdbDatastore(place)


def _propose(where: str, table: str, failed: Failed) -> Iterator[Proposal]:
    from agentd.datastores.duckdb.inspecting import proposals

    return proposals(where, table, failed)


DUCKDB = Engine(
    name="duckdb",
    where=Where.FILE,
    place=_place,
    open=_open,
    inspection=Inspection(_propose, is_it=lambda start: start[8:12] == b"DUCK"),
    preload=("duckdb",),
    example=("data.duckdb", "moved"),
)
