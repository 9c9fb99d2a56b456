"""Proposals for the tables of a database, as its engine describes them."""

from collections.abc import Iterator

from agentd.datastores.inspection.text import Proposal, Store
from agentd.datastores.port.datastore import Datastore, Location
from agentd.datastores.port.engine import Failed
from agentd.datastores.port.failures import StepFailure

# What a datastore is called in messages while it has no manifest.
NAME = "inspected"


def of_tables(datastore: Datastore, table: str, store: Store, failed: Failed) -> Iterator[Proposal]:
    """A proposal for the table, or for every table of the datastore; `failed` is told of one that cannot be read."""
    for name in [table] if table else datastore.objects():
        try:
            yield described(datastore, name, store)
        except StepFailure as failure:
            if table or failed is None:
                raise
            failed(f"{name}: {failure.message}. {failure.hint}".rstrip())


def described(datastore: Datastore, name: str, store: Store) -> Proposal:
    """The proposal for one object, by what its engine says of it."""
    try:
        found = datastore.describe(Location(NAME, name))
    except StepFailure as err:
        if err.code != "unsupported_type":
            raise
        return Proposal(name, (), refused=(err.message,), store=store)
    note = f"about {found.rows_estimate} rows" if found.rows_estimate else "row count not known"
    return Proposal(name, found.columns, found.key, (note,), store=store)
