"""Manifests by name: those that people applied, then those that come with Haulier (generation 0)."""

from collections.abc import Sequence

from controlplane.manifests.diffing import canonical_json, digest
from controlplane.manifests.kinds.documents import Document
from controlplane.manifests.ready_made import KIND, ready_made, workflows
from controlplane.store.verbs.inventory import InventoryVerbs, Resource

READY_MADE = 0  # the generation of what comes with Haulier


def resource_in_use(tx: InventoryVerbs, kind: str, name: str) -> Resource | None:
    """Return what is meant by a kind and a name; None where there is nothing."""
    found = tx.resource(kind, name)
    if found is not None:
        return found
    own = ready_made(kind, name)
    return None if own is None else _resource_of(own)


def with_ready_made(kind: str, rows: Sequence[Resource], after: str, limit: int) -> list[Resource]:
    """Add to a page of applied manifests, in order of name, those that come with Haulier and were not applied over.

    ``rows`` are the applied ones whose names follow ``after``, at most ``limit``.
    """
    if kind != KIND:
        return list(rows)
    known = {row.name for row in rows}
    own = [_resource_of(each) for name, each in workflows().items() if name > after and name not in known]
    last = rows[-1].name if len(rows) == limit else None
    fitting = [row for row in own if last is None or row.name < last]
    return sorted((*rows, *fitting), key=lambda row: row.name)[:limit]


def _resource_of(document: Document) -> Resource:
    metadata, spec = canonical_json(document.metadata), canonical_json(document.spec)
    return Resource(document.kind, document.name, READY_MADE, digest(metadata, spec), metadata, spec, 0.0)
