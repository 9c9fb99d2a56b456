"""Deleting manifests: one by name, or those that a set of files holds no longer; never one that something needs."""

import json
from collections.abc import Collection, Mapping, Sequence

from controlplane.core.events import Event, asked_by
from controlplane.core.rollouts.model import OPEN
from controlplane.core.states import MIGRATION_ENDED
from controlplane.manifests.diffing import canonical_json
from controlplane.manifests.kinds.documents import KINDS, Document, findings_at
from controlplane.manifests.needing import needed_by
from controlplane.manifests.text.findings import Finding, Problem
from controlplane.service.steps.destinations import called
from controlplane.store.port import Tx
from controlplane.store.verbs.inventory import InventoryVerbs, Resource

Key = tuple[str, str]
_NAMED_MAX = 3
_ALL = 1_000_000


def why_kept(tx: Tx, key: Key, specs: Mapping[Key, str], going: Collection[Key] = ()) -> str:
    """Say what needs a manifest, and what would end that; empty when it can go.

    ``specs`` maps every manifest that is or will be applied to its spec as JSON; ``going`` go with it.
    """
    kind, name = key
    naming = needed_by(key, specs, going)
    if naming:
        said = ", ".join(f"{kind} {name}" for kind, name in naming[:_NAMED_MAX])
        more = f" and {len(naming) - _NAMED_MAX} more" if len(naming) > _NAMED_MAX else ""
        first = f"`haulier delete {naming[0][0].lower()} {naming[0][1]}`"
        return f"{said}{more} {'needs' if len(naming) == 1 else 'need'} it: delete that first, e.g. {first}"
    if kind == "Fleet":
        rollout = next((each for each in tx.rollouts(name, 100) if each.state in OPEN), None)
        if rollout is not None:
            remedy = f"end that first with `haulier rollout cancel {rollout.id} --reason TEXT`"
            return f"its rollout {rollout.id} is {rollout.state}: {remedy}"
        return ""
    for migration in tx.newest_iterations().values():
        if migration.state in MIGRATION_ENDED:
            continue
        if (
            key == ("Migration", migration.name)
            or f"{kind}/{name}" in tx.basis(migration.id)
            or key
            in (
                ("Dataset", migration.dataset),
                ("Workflow", migration.workflow),
                ("Datastore", migration.source),
                ("Datastore", migration.destination),
            )
        ):
            return (
                f"the migration {called(migration)} is {migration.state} and needs it: end that first, e.g. with "
                f"`haulier migration cancel {migration.name} --reason TEXT`"
            )
    return ""


def specs_of(tx: InventoryVerbs) -> dict[Key, str]:
    """Return the spec of every applied manifest as JSON."""
    return {key: applied.spec for key, applied in tx.all_specs().items()}


def delete_in(tx: Tx, key: Key, now: float, by: str) -> None:
    """Delete a manifest that nothing needs; its generations and what its migrations proved stay."""
    tx.delete_resource(*key)
    tx.record([Event(now, "ManifestDeleted", f"{key[0]}/{key[1]}", detail=asked_by(by))])


def to_prune(tx: Tx, documents: Sequence[Document], labels: Mapping[str, str]) -> tuple[list[Resource], list[Finding]]:
    """Return the applied manifests with all of ``labels`` that are not among the documents, and what forbids it."""
    findings: list[Finding] = []
    said = ", ".join(f"{key}={value}" for key, value in labels.items())
    for document in documents:
        if not labels.items() <= document.metadata.labels.items():
            message = f"this apply prunes by {said}, and this {document.kind} does not carry it"
            hint = f"add {said} to its labels, or apply it without --prune"
            findings += findings_at(document.place, [Problem(("metadata", "labels"), message, hint)])
    written = {document.key for document in documents}
    going = [
        row
        for kind in KINDS
        for row in tx.resources(kind, "", _ALL)
        if (row.kind, row.name) not in written and labels.items() <= json.loads(row.metadata).get("labels", {}).items()
    ]
    keys = {(row.kind, row.name) for row in going}
    specs = specs_of(tx) | {document.key: canonical_json(document.spec) for document in documents}
    for row in going:
        why = why_kept(tx, (row.kind, row.name), specs, keys)
        if why:
            message = f"it is not among the files, and cannot be deleted: {why}"
            hint = "put it back among the files, or end what needs it"
            findings.append(Finding(f"{row.kind}/{row.name}", 0, 0, "", message, hint))
    return going, findings
