"""Documents: manifests that are right by themselves, and the models behind each kind."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from controlplane.manifests.engines.spec import EngineSpec
from controlplane.manifests.kinds.dataset import DatasetSpec
from controlplane.manifests.kinds.datastore import ENGINES
from controlplane.manifests.kinds.fleet import FleetSpec
from controlplane.manifests.kinds.migration import MigrationSpec
from controlplane.manifests.kinds.model import Metadata
from controlplane.manifests.kinds.workflow import WorkflowSpec
from controlplane.manifests.text.findings import Finding, Problem, field_text
from controlplane.manifests.text.yaml_reading import Place, locate

Spec = EngineSpec | DatasetSpec | WorkflowSpec | MigrationSpec | FleetSpec
KINDS = ("Datastore", "Dataset", "Workflow", "Migration", "Fleet")
_SPECS: dict[str, type[BaseModel]] = {
    "Dataset": DatasetSpec,
    "Workflow": WorkflowSpec,
    "Migration": MigrationSpec,
    "Fleet": FleetSpec,
}

# Findings in one answer: a person mends the first few, and a hostile file must not fill the memory.
FINDINGS_MAX = 500


@dataclass(frozen=True, slots=True)
class Document:
    """One manifest, and where it stands, so that later checks can point into it."""

    kind: str
    metadata: Metadata
    spec: Spec
    place: Place

    @property
    def name(self) -> str:
        """metadata.name."""
        return self.metadata.name

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by: kind and name."""
        return self.kind, self.metadata.name

    @property
    def path(self) -> str:
        """Path of its file, for messages."""
        return self.place.path


def findings_at(place: Place, problems: Sequence[Problem]) -> list[Finding]:
    """Give the problems of a document their lines and columns, in that order, at most FINDINGS_MAX of them."""
    kept = problems[:FINDINGS_MAX]
    spots = locate(place, [(problem.field, problem.at_key) for problem in kept]) if kept else []
    return sorted(
        Finding(place.path, line, column, field_text(problem.field), problem.message, problem.hint)
        for problem, (line, column) in zip(kept, spots, strict=True)
    )


def spec_model(kind: str, spec: object) -> type[BaseModel]:
    """Return the model of a spec; an unknown engine gets some model, which refuses it. Raises KeyError for no kind."""
    if kind != "Datastore":
        return _SPECS[kind]
    engine = spec.get("engine") if isinstance(spec, Mapping) else None
    found = ENGINES.get(engine) if isinstance(engine, str) else None
    return (found or next(iter(ENGINES.values()))).spec


def load_spec(kind: str, spec_json: str | bytes) -> Spec:
    """Read a spec back from its canonical JSON. Raises pydantic's ValidationError where it never was one."""
    # Only a Datastore's model depends on what it says.
    model = spec_model(kind, json.loads(spec_json) if kind == "Datastore" else None)
    spec: Any = model.model_validate_json(spec_json)
    checked: Spec = spec
    return checked


def load_metadata(metadata_json: str | bytes) -> Metadata:
    """Read metadata back from its canonical JSON."""
    return Metadata.model_validate_json(metadata_json)
