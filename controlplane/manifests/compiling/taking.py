"""What a retry that begins again takes from the manifests as they are now: the source side, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Of a Dataset, only where and how its rows are read; of its Datastore everything but the limits of the control plane.
DATASET_FIELDS = ("datastore", "object", "columns", "key")
NOT_OF_A_READING = frozenset({"concurrencyMax", "migrationsMax"})
_SHOWN_CHARACTERS_MAX = 80


@dataclass(frozen=True, slots=True)
class Taken:
    """One field that differs from what the migration was started with.

    ``old`` and ``new`` are JSON, shortened; "" where the field was not there. A manifest holds no secret, only
    references to secrets, so these can be shown.
    """

    manifest: str  # "Dataset/flights"
    field: str
    old: str
    new: str

    def said(self) -> str:
        """Write it for people."""
        return f"{self.manifest} {self.field}: {self.old or 'unset'} -> {self.new or 'unset'}"


def taken(
    dataset: tuple[str, str, str], old_datastore: tuple[str, str], new_datastore: tuple[str, str]
) -> tuple[Taken, ...]:
    """Compare the source side of before with that of now.

    ``dataset`` is its name and its specs of before and of now as JSON, a datastore its name and its spec; the two
    datastores are compared field by field also where the dataset has moved from one to the other.
    """
    name, before, now = dataset
    found = list(_differences(f"Dataset/{name}", _only(before), _only(now)))
    old, new = (_read(spec) for _, spec in (old_datastore, new_datastore))
    found += _differences(f"Datastore/{new_datastore[0]}", old, new)
    return tuple(found)


def _only(spec: str) -> dict[str, Any]:
    whole = json.loads(spec)
    kept = {field: whole[field] for field in DATASET_FIELDS if whole.get(field)}
    if "columns" in kept:
        # By name, so that one changed column is one difference.
        kept["columns"] = {column["name"]: column for column in kept["columns"]}
    return kept


def _read(spec: str) -> dict[str, Any]:
    return {field: value for field, value in json.loads(spec).items() if field not in NOT_OF_A_READING}


def _differences(manifest: str, old: Any, new: Any, at: str = "") -> Iterator[Taken]:
    for field in dict.fromkeys((*old, *new)):
        before, now = old.get(field), new.get(field)
        where = f"{at}.{field}" if at else field
        both = isinstance(before, Mapping) and isinstance(now, Mapping)
        if before == now:
            # The same columns in another order are read in that order.
            if both and field == "columns" and list(before) != list(now):
                yield Taken(manifest, "columns (order)", _shown(list(before)), _shown(list(now)))
        elif both:
            yield from _differences(manifest, before, now, where)
        else:
            yield Taken(manifest, where, _shown(before), _shown(now))


def _shown(value: Any) -> str:
    if value is None:
        return ""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else f"{text[: _SHOWN_CHARACTERS_MAX - 1]}…"
