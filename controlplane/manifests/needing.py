"""Which manifests name which others: what a deletion would leave without what it needs."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

Key = tuple[str, str]


def needed_by(key: Key, specs: Mapping[Key, str], going: Collection[Key] = ()) -> list[Key]:
    """Return the manifests that name ``key``, in order; those in ``going`` do not count.

    ``specs`` maps (kind, name) to a spec as JSON.
    """
    found = (other for other, spec in specs.items() if other not in going and other != key)
    return sorted(other for other in found if key in set(_named_in(other[0], specs[other])))


def _named_in(kind: str, spec_json: str) -> Iterator[Key]:
    if kind not in ("Dataset", "Migration"):
        return
    spec: dict[str, Any] = json.loads(spec_json)
    if kind == "Dataset":
        yield "Datastore", spec["datastore"]
        yield from (("Dataset", name) for name in spec.get("dependsOn", ()))
    else:
        yield "Dataset", spec["dataset"]
        yield "Workflow", spec["workflow"]
        yield "Datastore", spec["to"]["datastore"]
        yield "Datastore", spec["staging"]
