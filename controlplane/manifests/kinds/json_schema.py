"""JSON Schemas of the kinds, for people's editors."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from pydantic import TypeAdapter

from controlplane.manifests.kinds.datastore import ENGINES
from controlplane.manifests.kinds.documents import KINDS, spec_model
from controlplane.manifests.kinds.model import API_VERSION, Metadata

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a whole manifest of one kind. Raises KeyError for an unknown kind."""
    if kind not in KINDS:
        raise KeyError(kind)
    of_engines: Any = reduce(or_, (engine.spec for engine in ENGINES.values()))
    adapter: TypeAdapter[Any] = TypeAdapter(of_engines if kind == "Datastore" else spec_model(kind, None))
    spec = adapter.json_schema(by_alias=True)
    metadata = Metadata.model_json_schema(by_alias=True)
    definitions = {**metadata.pop("$defs", {}), **spec.pop("$defs", {})}
    return {
        "$schema": _DIALECT,
        "title": kind,
        "type": "object",
        "additionalProperties": False,
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {
            "apiVersion": {"const": API_VERSION},
            "kind": {"const": kind},
            "metadata": metadata,
            "spec": spec,
        },
        **({"$defs": definitions} if definitions else {}),
    }


def any_schema() -> dict[str, Any]:
    """Return one schema for a manifest of any kind, for a whole directory in an editor."""
    return {"$schema": _DIALECT, "title": "Haulier manifest", "oneOf": [_nested(kind) for kind in KINDS]}


def _nested(kind: str) -> dict[str, Any]:
    one = schema(kind)
    del one["$schema"]
    # References count from the root of the whole document, so each kind becomes a root of its own.
    one["$id"] = f"urn:haulier:v1:{kind.lower()}"
    return one
