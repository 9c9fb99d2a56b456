"""What an apply would change: canonical JSON, digests, and differences line by line."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from controlplane.manifests.kinds.documents import Document


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


class FieldChange(NamedTuple):
    """A field that differs; each side is JSON, or empty where the field is not there."""

    field: str
    before: str
    after: str


def diff(old_json: str, new_json: str, at: str) -> list[FieldChange]:
    """Return the fields in which two texts of canonical JSON differ, named below ``at``: ``spec.key[1]``."""
    old, new = dict(_leaves(json.loads(old_json), at)), dict(_leaves(json.loads(new_json), at))
    fields = [*old, *(field for field in new if field not in old)]
    changes = (FieldChange(field, old.get(field, ""), new.get(field, "")) for field in fields)
    return [each for each in changes if each.before != each.after]


def _leaves(value: Any, at: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{at}.{key}" if at else str(key))
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{at}[{index}]")
    else:
        yield at, json.dumps(value, ensure_ascii=False)
