"""Proposals as YAML: the part of a Dataset that was found out, or whole manifests."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from agentd.proof.types import Column

NAME_LENGTH_MAX = 100


@dataclass(frozen=True, slots=True)
class Store:
    """Where an object is, as a Datastore's spec says it. `notes` are for people."""

    engine: str
    fields: tuple[tuple[str, object], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is proposed for one object. `notes` are for people; `refused` names columns that cannot be moved exactly;
    `options` are fields of the Dataset by which its file is read, such as `nullText`."""

    object: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    store: Store | None = None


def spec_text(found: Proposal) -> str:
    """What to put under a Dataset's `spec`."""
    lines = [f"# {note}" for note in found.notes]
    lines += [f"# cannot be moved exactly: {each}" for each in found.refused]
    lines += _fields(found)
    return "\n".join(lines) + "\n"


def manifests_text(proposals: Iterable[Proposal], owner: str, datastore: str) -> str:
    """Whole manifests: a Datastore for each place and a Dataset for each object, with `owner`.

    `datastore` names the first Datastore; further ones, where a directory holds several kinds of file, get its name
    with their engine's.
    """
    documents: list[str] = []
    stores: dict[Store, str] = {}
    names: set[str] = set()
    for found in proposals:
        assert found.store is not None, "every proposal knows its place"
        if found.store not in stores:
            name = datastore if not stores else _free(f"{datastore}-{found.store.engine}", set(stores.values()))
            stores[found.store] = name
            documents.append(_datastore_text(name, found.store))
        name = _free(_name_of(found.object), names)
        names.add(name)
        documents.append(_dataset_text(name, found, owner, stores[found.store]))
    return "---\n".join(documents)


def _datastore_text(name: str, store: Store) -> str:
    lines = [
        "apiVersion: haulier/v1",
        "kind: Datastore",
        f"metadata: {{name: {_quoted(name)}}}",
        "spec:",
        *[f"  # {note}" for note in store.notes],
        f"  engine: {store.engine}",
        *[f"  {key}: {_quoted(value)}" for key, value in store.fields],
    ]
    return "\n".join(lines) + "\n"


def _dataset_text(name: str, found: Proposal, owner: str, datastore: str) -> str:
    lines = [f"# {note}" for note in found.notes]
    lines += [f"# cannot be moved exactly: {each}" for each in found.refused]
    lines += [
        "apiVersion: haulier/v1",
        "kind: Dataset",
        f"metadata: {{name: {_quoted(name)}}}",
        "spec:",
        f"  owner: {_quoted(owner)}",
        f"  datastore: {_quoted(datastore)}",
        *[f"  {line}" for line in _fields(found)],
    ]
    return "\n".join(lines) + "\n"


def _fields(found: Proposal) -> list[str]:
    lines = [f"object: {_quoted(found.object)}"]
    lines += [f"{key}: {_quoted(value)}" for key, value in found.options.items()]
    if found.key:
        lines.append(f"key: {_quoted(list(found.key))}")
    if found.columns:
        lines.append("columns:")
    for column in found.columns:
        required = ", required: true" if column.required else ""
        lines.append(f'  - {{name: {_quoted(column.name)}, type: "{column.spelled()}"{required}}}')
    return lines


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def name_of(text: str) -> str:
    """A manifest's name that is as much like a text as the rules for names allow."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[: NAME_LENGTH_MAX - 8].strip("-._") or "unnamed"


def _name_of(found: str) -> str:
    return name_of(re.sub(r"\.(csv|tsv|txt|parquet)$", "", found, flags=re.IGNORECASE))


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number behind it where it is taken."""
    number, free = 2, name
    while free in taken:
        number, free = number + 1, f"{name}-{number}"
    return free
