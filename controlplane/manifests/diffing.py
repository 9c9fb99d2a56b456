"""What an apply would change: canonical JSON, digests, and differences line by line."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from controlplane.manifests.documents import Document


class Change(enum.Enum):
    """What applying a manifest does."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    DELETED = "deleted"


def canonical_json(model: BaseModel) -> str:
    """Write a spec or metadata as canonical JSON: camelCase keys in order, defaults left out, no spaces.

    A default that is written out and one that is left out are the same manifest.
    """
    data = model.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    engine = getattr(model, "engine", None)
    if engine is not None:
        data["engine"] = engine
    return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def digest(metadata_json: str, spec_json: str) -> str:
    """Return the SHA-256, hex, of a manifest's canonical JSON: equal digests mean that nothing changes."""
    return hashlib.sha256(f"{metadata_json}\n{spec_json}".encode()).hexdigest()


def document_digest(document: Document) -> str:
    """Return ``digest`` of a document."""
    return digest(canonical_json(document.metadata), canonical_json(document.spec))


def change(old_digest: str | None, new_digest: str) -> Change:
    """Compare a document with what is applied under its kind and name; ``old_digest`` None means nothing."""
    if old_digest is None:
        return Change.CREATED
    return Change.UNCHANGED if old_digest == new_digest else Change.UPDATED


def diff(old_json: str | None, new_json: str) -> tuple[str, ...]:
    """Return what differs, one line a field: ``+ owner: "a"``, ``- …``, ``~ priority: 1 -> 2``.

    Both are canonical JSON; ``old_json`` None means that there was nothing.
    """
    old = dict(_leaves(json.loads(old_json), "")) if old_json is not None else {}
    new = dict(_leaves(json.loads(new_json), ""))
    lines = []
    for field in [*old, *(field for field in new if field not in old)]:
        if field not in new:
            lines.append(f"- {field}: {old[field]}")
        elif field not in old:
            lines.append(f"+ {field}: {new[field]}")
        elif old[field] != new[field]:
            lines.append(f"~ {field}: {old[field]} -> {new[field]}")
    return tuple(lines)


def _leaves(value: Any, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{at}.{key}" if at else str(key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{at}[{index}]")
    else:
        yield at, json.dumps(value, ensure_ascii=False)
