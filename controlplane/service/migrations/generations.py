"""What a Migration would do if it started now, told by the generations of the manifests that it is made of."""

import json

from controlplane.service.inventory.in_use import resource_in_use
from controlplane.store.verbs.inventory import InventoryVerbs


def generations_of(tx: InventoryVerbs, name: str) -> str:
    """Write the generations of a Migration and of every manifest it names: two equal texts mean the same work."""
    resource = tx.resource("Migration", name)
    if resource is None:
        return "deleted"
    spec = json.loads(resource.spec)
    dataset = tx.resource("Dataset", spec["dataset"])
    stores = {spec["to"]["datastore"], spec["staging"]}
    if dataset is not None:
        stores.add(json.loads(dataset.spec)["datastore"])
    named = [("Dataset", spec["dataset"]), ("Workflow", spec["workflow"])]
    named += [("Datastore", store) for store in sorted(stores)]
    return ", ".join([f"generation {resource.generation}", *(_said(tx, kind, of) for kind, of in named)])


def _said(tx: InventoryVerbs, kind: str, name: str) -> str:
    resource = resource_in_use(tx, kind, name)
    return f"{kind} {name} {resource.generation if resource is not None else 'missing'}"
