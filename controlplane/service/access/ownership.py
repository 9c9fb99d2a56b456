"""Whose data a call touches: what a role over the data of some owners may see and change."""

import asyncio
import json
from collections.abc import Iterable, Sequence

from controlplane.manifests.kinds.dataset import DatasetSpec
from controlplane.manifests.kinds.documents import Document
from controlplane.manifests.kinds.migration import MigrationSpec
from controlplane.manifests.parsing import parse
from controlplane.manifests.text.findings import SourceFile
from controlplane.store.port import Store, Tx
from controlplane.store.verbs.inventory import InventoryVerbs

Owners = frozenset[str]


class OutOfScope(Exception):
    """Not among the data that the caller's role is over; says so without telling whether it exists."""


class Ownership:
    """Each question is one read of the store; ``require_…`` raises ``OutOfScope``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def require_migrations(self, names: Iterable[str], owners: Owners) -> None:
        """Refuse unless each, by id or name, started or not, moves a dataset of these owners."""
        wanted = list(names)

        def look(tx: Tx) -> list[str]:
            return [name for name in wanted if _owner_of_migration(tx, name) not in owners]

        _refuse("migration", await self._store.read(look), owners)

    async def require_subject(self, subject: str, owners: Owners) -> None:
        """Refuse unless a step's id, MIGRATION or MIGRATION/STEP belongs to these owners."""

        def look(tx: Tx) -> str:
            if not subject.startswith("step_"):
                return _owner_of_migration(tx, subject.partition("/")[0])
            step = tx.steps([subject]).get(subject)
            return _owner_of_migration(tx, step.migration_id) if step else ""

        _refuse("migration", [] if await self._store.read(look) in owners else [subject], owners)

    async def require_attempt(self, attempt_id: str, owners: Owners) -> None:
        """Refuse unless an attempt belongs to these owners."""

        def look(tx: Tx) -> str:
            attempt = tx.attempts([attempt_id]).get(attempt_id)
            return _owner_of_migration(tx, attempt.migration_id) if attempt else ""

        _refuse("attempt", [] if await self._store.read(look) in owners else [attempt_id], owners)

    async def require_files(self, files: Sequence[SourceFile], owners: Owners) -> None:
        """Refuse unless every manifest is a Dataset of these owners, as it is and as it was, or moves one."""
        parsed = await asyncio.to_thread(parse, files)

        def look(tx: Tx) -> list[str]:
            written = {d.name: d.spec.owner for d in parsed.documents if isinstance(d.spec, DatasetSpec)}
            return [f"{d.kind} {d.name}" for d in parsed.documents if not _may_write(tx, d, written, owners)]

        _refuse("", await self._store.read(look), owners)

    async def of_datasets(self, names: Iterable[str], owners: Owners) -> set[str]:
        """Return which of these datasets belong to these owners."""
        wanted = set(names)
        return await self._store.read(lambda tx: {name for name in wanted if _owner(tx, name) in owners})

    async def of_migrations(self, ids_or_names: Iterable[str], owners: Owners) -> set[str]:
        """Return which of these migrations belong to these owners."""
        wanted = set(ids_or_names)
        return await self._store.read(lambda tx: {name for name in wanted if _owner_of_migration(tx, name) in owners})


def _may_write(tx: Tx, document: Document, written: dict[str, str], owners: Owners) -> bool:
    if isinstance(document.spec, DatasetSpec):
        before = tx.resource("Dataset", document.name)
        return document.spec.owner in owners and (before is None or _owner(tx, document.name) in owners)
    if isinstance(document.spec, MigrationSpec):
        # Also the one of that name that was applied before: a manifest must not be turned away from its dataset.
        known = tx.resource("Migration", document.name)
        was_theirs = known is None or _owner_of_migration(tx, document.name) in owners
        dataset = document.spec.dataset
        return was_theirs and written.get(dataset, _owner(tx, dataset)) in owners
    return False


def _owner(tx: InventoryVerbs, dataset: str) -> str:
    """Return who owns an applied dataset; empty when there is none."""
    found = tx.resource("Dataset", dataset)
    return str(json.loads(found.spec).get("owner", "")) if found else ""


def _owner_of_migration(tx: Tx, name_or_id: str) -> str:
    started = tx.migration(name_or_id) or tx.migration_by_name(name_or_id)
    if started is not None:
        return _owner(tx, started.dataset)
    written = tx.resource("Migration", name_or_id)
    return _owner(tx, str(json.loads(written.spec).get("dataset", ""))) if written else ""


def _refuse(what: str, names: Sequence[str], owners: Owners) -> None:
    if names:
        said = ", ".join(f"{what} {name}".strip() for name in names[:5])
        whose = ", ".join(sorted(owners))
        raise OutOfScope(f"{said}: not among the data of {whose}, which this caller's role is over")
