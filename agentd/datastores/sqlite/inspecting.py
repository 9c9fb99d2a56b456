"""Propose Datasets for the tables of a SQLite file."""

from collections.abc import Iterator
from pathlib import Path

from agentd.datastores.inspection.text import Proposal, Store
from agentd.datastores.port.engine import Failed
from agentd.datastores.sqlite.guessing import sqlite_proposals


def proposals(where: str, table: str, failed: Failed) -> Iterator[Proposal]:
    """A proposal for the table, or for every table of the file; a file that cannot be read is raised."""
    del failed
    store = Store("sqlite", (("path", where),))
    for name, columns, key, refused in sqlite_proposals(Path(where), table):
        yield Proposal(name, columns, key, (), refused, {}, store)
