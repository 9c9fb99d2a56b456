"""What declares an engine to manifests: one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from controlplane.manifests.engines.spec import EngineSpec

# What makes a place one place: engine, where it is, and for files which hosts (placement labels) hold that path.
PlaceKey = tuple[str, ...]


def _fits(name: str) -> str:
    del name
    return ""


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine.

    ``name`` is its name in manifests and of its field in the contract's Datastore, ``title`` what messages call its
    data. ``spec`` is its model: the options of its Datastores. ``store`` writes a spec as the contract's message.
    ``place_key`` returns what identifies an object physically. ``dataset_options`` are fields of a Dataset, and of the
    message, that say how its files are read. ``declares_columns``: its sources say too little about their types, so
    datasets there declare their columns. ``holds_parts``: parts can be staged there. ``ignores_case``: it takes names
    that differ in case alone for one name. ``misfit`` says why it cannot have an object or column of a name, or "".
    """

    name: str
    title: str
    spec: type[EngineSpec]
    store: Callable[[Any], Message]
    place_key: Callable[[Any, str], PlaceKey]
    dataset_options: tuple[str, ...] = ()
    declares_columns: bool = False
    holds_parts: bool = False
    ignores_case: bool = False
    misfit: Callable[[str], str] = _fits
