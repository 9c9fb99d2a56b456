"""References such as ``${migration.source}`` or ``${steps.extract.output}``, and the type of what they name.

A reference is a whole value, never a part of a longer text: it then keeps its type, and no value can smuggle itself
into SQL. Types come from the contract's descriptors, so a wrong one is found when the workflow is applied, before any
migration exists.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from haulier.v1 import kinds_pb2

from controlplane.manifests.compiling.step_kinds import BUILT_IN
from controlplane.manifests.text.findings import near_miss, shown, suggestion

_WHOLE = re.compile(r"\$\{\s*([^{}$]*?)\s*\}")
ROOTS = ("migration", "parameters", "steps")


@dataclass(frozen=True, slots=True)
class Shape:
    """Type of a value: a message or enum by its short name, or one of "text", "number", "whole number" and so on.

    "any" is known at run time only: a parameter, or the result of a kind that is not built in.
    """

    type: str
    repeated: bool = False

    def __str__(self) -> str:
        """Read well inside a message."""
        return f"list of {self.type}" if self.repeated else self.type


ANY = Shape("any")

_SCALARS: dict[int, str] = {
    FieldDescriptor.CPPTYPE_STRING: "text",
    FieldDescriptor.CPPTYPE_BOOL: "true or false",
    FieldDescriptor.CPPTYPE_DOUBLE: "number",
    FieldDescriptor.CPPTYPE_FLOAT: "number",
    FieldDescriptor.CPPTYPE_INT32: "whole number",
    FieldDescriptor.CPPTYPE_INT64: "whole number",
    FieldDescriptor.CPPTYPE_UINT32: "whole number",
    FieldDescriptor.CPPTYPE_UINT64: "whole number",
}

_MIGRATION_SHAPES: dict[str, Shape] = {
    "name": Shape("text"),
    "dataset": Shape("text"),
    "source": Shape("DatasetLocation"),
    "destination": Shape("DatasetLocation"),
    "staging": Shape("Datastore"),
    "transform": Shape("text"),
    "testQueries": Shape("TestQuery", repeated=True),
    "ifExists": Shape("IfExists"),
    "waive": Shape("Waiver", repeated=True),
}


class BadReference(ValueError):
    """A reference that names nothing. ``hint`` says what may have been meant."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed reference: ``root`` is one of ROOTS, ``parts`` is the path below it and never empty."""

    root: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        """Write it the way people do."""
        return "${" + ".".join((self.root, *self.parts)) + "}"


def parse_reference(value: object) -> Reference | None:
    """Read a value as a reference; None when it holds none. Raises BadReference for a malformed or embedded one."""
    if not isinstance(value, str) or "${" not in value:
        return None
    match = _WHOLE.fullmatch(value)
    if match is None:
        raise BadReference(
            "a reference must be the whole value, not a part of a longer text",
            'for example input: "${steps.extract.output}"',
        )
    root, *parts = match[1].split(".")
    if root not in ROOTS:
        close = near_miss(root, ROOTS)
        hint = (
            f"did you mean ${{{'.'.join((close, *parts))}}}?"
            if close
            else "a reference begins with " + ", ".join(ROOTS)
        )
        raise BadReference(f"the reference {shown(value)} names nothing", hint)
    if not parts or not all(parts):
        raise BadReference(f"the reference {shown(value)} is not complete", _example(root))
    return Reference(root, tuple(parts))


def _example(root: str) -> str:
    return {
        "migration": "for example ${migration.source}",
        "parameters": "for example ${parameters.partRows}",
        "steps": "for example ${steps.extract.output}",
    }[root]


def is_mapping(field: FieldDescriptor) -> bool:
    """Say whether a contract field holds values by name."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def shape_of(field: FieldDescriptor) -> Shape:
    """Return the type of a contract field."""
    if is_mapping(field):
        return Shape("mapping")
    if field.message_type is not None:
        return Shape(field.message_type.name, field.is_repeated)
    if field.enum_type is not None:
        return Shape(field.enum_type.name, field.is_repeated)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return Shape("bytes", field.is_repeated)
    return Shape(_SCALARS[field.cpp_type], field.is_repeated)


def field_named(descriptor: Descriptor, name: str) -> FieldDescriptor | None:
    """Find a field by its JSON name, or by its name in the contract."""
    for field in descriptor.fields:
        if name in (field.json_name, field.name):
            return field
    return None


@dataclass(frozen=True, slots=True)
class Scope:
    """What a step's parameters may refer to: declared parameters, and the results of steps that come before it.

    ``steps`` maps every step's name to its kind; ``reachable`` holds those that ``step`` needs, directly or not.
    """

    parameters: Collection[str]
    steps: Mapping[str, str]
    reachable: Collection[str]
    step: str

    def shape(self, reference: Reference) -> Shape:
        """Return the type of what a reference names. Raises BadReference when that is nothing this step may use."""
        if reference.root == "migration":
            return self._migration(reference)
        if reference.root == "parameters":
            return self._parameter(reference)
        return self._step(reference)

    def _migration(self, reference: Reference) -> Shape:
        first, *rest = reference.parts
        shape = _MIGRATION_SHAPES.get(first)
        if shape is None:
            close = near_miss(first, _MIGRATION_SHAPES)
            known = "known: " + ", ".join("${migration." + name + "}" for name in _MIGRATION_SHAPES)
            hint = f"did you mean ${{migration.{'.'.join((close, *rest))}}}?" if close else known
            raise BadReference(f"{reference} names nothing in a migration", hint)
        return _descend(reference, shape, rest)

    def _parameter(self, reference: Reference) -> Shape:
        name = reference.parts[0]
        if name not in self.parameters:
            hint = suggestion(name, self.parameters, "declare it under spec.parameters")
            raise BadReference(f"{reference} names a parameter that the workflow does not declare", hint)
        if len(reference.parts) > 1:
            raise BadReference(f"{reference} goes deeper than a parameter", f"write ${{parameters.{name}}}")
        return ANY

    def _step(self, reference: Reference) -> Shape:
        name, *rest = reference.parts
        kind = self.steps.get(name)
        if kind is None:
            raise BadReference(
                f"{reference} names the step {shown(name)}, which does not exist", suggestion(name, self.steps)
            )
        if name == self.step:
            raise BadReference(f"{reference} names the step it stands in", "refer to an earlier step")
        if name not in self.reachable:
            message = f"{reference} names the step {shown(name)}, which need not have run before {shown(self.step)}"
            raise BadReference(message, f"add {name} to the needs of {self.step}")
        if not rest:
            raise BadReference(f"{reference} names a step, not its result", f"for example ${{steps.{name}.output}}")
        built_in = BUILT_IN.get(kind)
        if built_in is None:
            return ANY
        return _descend(reference, None, rest, built_in.result_descriptor)


def _descend(
    reference: Reference, shape: Shape | None, parts: list[str], descriptor: Descriptor | None = None
) -> Shape:
    for part in parts:
        if shape is not None:
            descriptor = None if shape.repeated else kinds_pb2.DESCRIPTOR.message_types_by_name.get(shape.type)
        if descriptor is None:
            raise BadReference(f"{reference} goes too deep: there is nothing inside a {shape}")
        field = field_named(descriptor, part)
        if field is None:
            names = [known.json_name for known in descriptor.fields]
            raise BadReference(
                f"{reference} names {shown(part)}, which {descriptor.name} does not have", suggestion(part, names)
            )
        shape = shape_of(field)
    if shape is None:
        raise BadReference(f"{reference} is not complete")
    return shape
