"""Parameter templates: everything a migration knows when it is planned, with holes for the results of earlier steps.

A template is JSON: ``{"kind", "params", "holes"}``. Holes stand beside the parameters and never inside them, so that no
text a person wrote (a SELECT that happens to hold ``${…}``) can ever be taken for a reference.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from haulier.v1 import kinds_pb2

from controlplane.manifests.compiling.references import Reference, field_named, parse_reference
from controlplane.manifests.compiling.step_kinds import BUILT_IN
from controlplane.manifests.compiling.step_params import enum_name
from controlplane.manifests.compiling.values import (
    datastore_message,
    destination_message,
    if_exists_value,
    query_message,
    read_as,
    source_message,
)
from controlplane.manifests.engines.spec import EngineSpec
from controlplane.manifests.kinds.dataset import DatasetSpec
from controlplane.manifests.kinds.migration import MigrationSpec
from controlplane.manifests.kinds.waivers import waiver_message
from controlplane.manifests.kinds.workflow import StepSpec, WorkflowSpec
from controlplane.manifests.sql.guard import single_statement


@dataclass(frozen=True, slots=True)
class MigrationValues:
    """What ``${migration.…}`` and ``${parameters.…}`` stand for in one migration."""

    migration: Mapping[str, Any]
    parameters: Mapping[str, Any]
    # What the Dataset allows a step to do, by the names that no workflow may give.
    granted: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        name: str,
        migration: MigrationSpec,
        workflow: WorkflowSpec,
        dataset: DatasetSpec,
        datastores: Mapping[str, EngineSpec],
    ) -> MigrationValues:
        """Collect them. ``datastores`` holds at least source, destination and staging."""
        source = read_as(dataset, datastore_message(dataset.datastore, datastores[dataset.datastore]))
        destination = datastore_message(migration.to.datastore, datastores[migration.to.datastore])
        values = {
            "name": name,
            "dataset": migration.dataset,
            "source": source_message(migration.dataset, dataset, source),
            "destination": destination_message(migration, dataset, destination),
            "staging": datastore_message(migration.staging, datastores[migration.staging]),
            "transform": None if migration.transform is None else single_statement(migration.transform),
            "testQueries": [query_message(query) for query in migration.test_queries],
            "waive": [waiver_message(text) for text in migration.waive],
            "ifExists": kinds_pb2.IfExists.Name(if_exists_value(migration)),
        }
        defaults = {key: parameter.default for key, parameter in workflow.parameters.items()}
        given = {key: value for key, value in migration.parameters.items() if value is not None}
        shown_for_s = dataset.values_shown_for_s
        granted = {"showValues": True, "showValuesForS": shown_for_s} if shown_for_s else {}
        return cls(values, {**defaults, **given}, granted)

    def json_of(self, reference: Reference) -> Any:
        """Return what a checked reference stands for, as JSON in the contract's mapping."""
        if reference.root == "parameters":
            return self.parameters[reference.parts[0]]
        value: Any = self.migration[reference.parts[0]]
        for part in reference.parts[1:]:
            value = attribute(value, part)
        return to_json(value)


def attribute(message: Message, part: str) -> Any:
    """Return a field of a message by its JSON name or its name in the contract; enums by name."""
    field = field_named(kinds_pb2.DESCRIPTOR.message_types_by_name[message.DESCRIPTOR.name], part)
    if field is None:
        raise KeyError(part)
    value = getattr(message, field.name)
    if field.enum_type is not None and not field.is_repeated:
        return field.enum_type.values_by_number[value].name
    return value


def to_json(value: Any) -> Any:
    """Write a value in the contract's JSON mapping: messages as mappings, bytes as base64."""
    if isinstance(value, Message):
        return json_format.MessageToDict(value)
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if isinstance(value, bytes):
        return json_format.MessageToDict(kinds_pb2.StagedPart(digest=value)).get("digest", "")
    return [to_json(item) for item in value]


def template_of(step: StepSpec, values: MigrationValues, kinds: Mapping[str, str]) -> str:
    """Write a step's template. ``kinds`` maps every step of the workflow to its kind; all references were checked."""
    holes: list[dict[str, Any]] = []
    params = {key: _filled(value, values, kinds, (key,), holes) for key, value in step.params.items()}
    built_in = BUILT_IN.get(step.kind)
    if built_in is not None:
        params = {key: _enum_written_out(step.kind, key, value) for key, value in params.items()}
        holed = {tuple(hole["path"]) for hole in holes}
        params = {key: _by_name(value, key, holed) for key, value in params.items() if (key,) not in holed}
        params |= {key: value for key, value in values.granted.items() if key in built_in.granted}
    return json.dumps({"kind": step.kind, "params": params, "holes": holes}, ensure_ascii=False, separators=(",", ":"))


def _by_name(value: Any, key: str, holed: Collection[tuple[str | int, ...]]) -> Any:
    """Write values by name as the contract has them, which is text, without those that are still to come."""
    if not isinstance(value, Mapping) or not all(isinstance(item, str | int | None) for item in value.values()):
        return value
    return {name: str(item) for name, item in value.items() if (key, name) not in holed}


def _enum_written_out(kind: str, key: str, value: Any) -> Any:
    field = field_named(BUILT_IN[kind].params_descriptor, key)
    if field is None or field.enum_type is None or not isinstance(value, str):
        return value
    return enum_name(field.enum_type, value)


def _filled(
    value: object,
    values: MigrationValues,
    kinds: Mapping[str, str],
    path: tuple[str | int, ...],
    holes: list[dict[str, Any]],
) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(item, values, kinds, (*path, key), holes) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values, kinds, (*path, index), holes) for index, item in enumerate(value)]
    reference = parse_reference(value)
    if reference is None:
        return value
    if reference.root != "steps":
        return values.json_of(reference)
    step, *field = reference.parts
    holes.append({"path": list(path), "step": step, "kind": kinds[step], "field": field})
    return None
