"""Propose Datasets for the tables of a PostgreSQL database."""

import os
from collections.abc import Iterator

from agentd.datastores.inspection.describing import NAME, of_tables
from agentd.datastores.inspection.text import Proposal, Store
from agentd.datastores.port.engine import Failed
from agentd.datastores.postgresql.datastore import PostgresqlDatastore
from agentd.datastores.postgresql.url import postgresql_place

_NOTES = ("passwordRef: env:NAME, file:/PATH or credential:NAME, where the role needs a password",)


def proposals(where: str, table: str, failed: Failed) -> Iterator[Proposal]:
    """A proposal for the table, or for every table that the URL's role sees."""
    place = postgresql_place(where, NAME, os.environ.get("PGPASSWORD", ""))
    fields = [("host", place.host), ("port", place.port), ("database", place.database), ("user", place.user)]
    fields += [("schema", place.schema), ("sslmode", place.sslmode)]
    fields += [(key, getattr(place, key)) for key in ("sslrootcert", "sslcert", "sslkey") if getattr(place, key)]
    yield from of_tables(PostgresqlDatastore(place, ""), table, Store("postgresql", tuple(fields), _NOTES), failed)
