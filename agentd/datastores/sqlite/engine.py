"""SQLite, as everything else of the agent reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentd.datastores.port.engine import Engine, Failed, Inspection, Where
from agentd.datastores.port.lock_wait import LOCK_WAIT_S
from agentd.datastores.port.messages import absolute, sharing_of
from agentd.datastores.sqlite.place import SqlitePlace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.v1 import kinds_pb2 as k

    from agentd.datastores.inspection.text import Proposal
    from agentd.datastores.port.datastore import Datastore


def _place(message: k.Datastore, side: str, password: str) -> SqlitePlace:
    del side, password
    found = message.sqlite
    path, wait_s = absolute(found.path, "SQLite path"), found.lock_wait_s or LOCK_WAIT_S
    return SqlitePlace(message.name, path, *sharing_of(found), lock_wait_s=wait_s)


def _open(place: Any, attempt_id: str) -> Datastore:
    from agentd.datastores.sqlite.datastore import SqliteDatastore

    del attempt_id
    return SqliteDatastore(place)


def _propose(where: str, table: str, failed: Failed) -> Iterator[Proposal]:
    from agentd.datastores.sqlite.inspecting import proposals

    return proposals(where, table, failed)


SQLITE = Engine(
    name="sqlite",
    where=Where.FILE,
    place=_place,
    open=_open,
    inspection=Inspection(_propose, is_it=lambda start: start.startswith(b"SQLite format 3\0")),
    # A file with a write-ahead log is read through a file beside it, which readers make and write.
    readers_write=True,
    example=("data.db", "moved"),
)
