"""PostgreSQL, as everything else of the agent reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentd.datastores.port.engine import Engine, Failed, Inspection, PlaceAsked, Where
from agentd.datastores.port.lock_wait import LOCK_WAIT_S
from agentd.datastores.port.messages import file_or_none
from agentd.datastores.postgresql.place import PORT, SYSTEM, PostgresqlPlace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.v1 import kinds_pb2 as k

    from agentd.datastores.inspection.text import Proposal
    from agentd.datastores.port.datastore import Datastore


def _asked(message: k.Datastore) -> PlaceAsked:
    found = message.postgresql
    return PlaceAsked(
        message.name,
        "postgresql",
        host=found.host,
        port=found.port or PORT,
        database=found.database,
        user=found.user,
        schema=found.schema or "public",
        sslmode=found.sslmode or "prefer",
        secret=found.password_ref,
        certificates=tuple(path for path in (found.sslrootcert, found.sslcert, found.sslkey) if path),
    )


def _place(message: k.Datastore, side: str, password: str) -> PostgresqlPlace:
    found = message.postgresql
    return PostgresqlPlace(
        name=message.name,
        host=found.host,
        port=found.port or PORT,
        database=found.database,
        user=found.user,
        password=password,
        schema=found.schema or "public",
        sslmode=found.sslmode or "prefer",
        sslrootcert=SYSTEM if found.sslrootcert == SYSTEM else file_or_none(found.sslrootcert, "sslrootcert"),
        sslcert=file_or_none(found.sslcert, "sslcert"),
        sslkey=file_or_none(found.sslkey, "sslkey"),
        side=side,
        lock_wait_s=found.lock_wait_s or LOCK_WAIT_S,
    )


def _open(place: Any, attempt_id: str) -> Datastore:
    from agentd.datastores.postgresql.datastore import PostgresqlDatastore

    return PostgresqlDatastore(place, attempt_id)


def _propose(where: str, table: str, failed: Failed) -> Iterator[Proposal]:
    from agentd.datastores.postgresql.inspecting import proposals

    return proposals(where, table, failed)


def _name_of(where: str) -> str:
    from agentd.datastores.postgresql.url import postgresql_place

    return postgresql_place(where, "").database


POSTGRESQL = Engine(
    name="postgresql",
    where=Where.SERVER,
    place=_place,
    open=_open,
    inspection=Inspection(_propose, urls=("postgresql://", "postgres://"), name_of=_name_of),
    asked=_asked,
    port=PORT,
    secret_variables=("PGPASSWORD", "PGPASSFILE", "PGSERVICE", "PGSERVICEFILE"),
    preload=("psycopg",),
)
