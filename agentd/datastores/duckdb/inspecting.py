"""Propose Datasets for the tables of a DuckDB file."""

from collections.abc import Iterator
from pathlib import Path

from agentd.datastores.duckdb.datastore import DuckdbDatastore
from agentd.datastores.duckdb.place import DuckdbPlace
from agentd.datastores.inspection.describing import NAME, of_tables
from agentd.datastores.inspection.text import Proposal, Store
from agentd.datastores.port.engine import Failed


def proposals(where: str, table: str, failed: Failed) -> Iterator[Proposal]:
    """A proposal for the table, or for every table of the file."""
    path = Path(where)
    yield from of_tables(DuckdbDatastore(DuckdbPlace(NAME, path)), table, Store("duckdb", (("path", where),)), failed)
