"""Checks a step's parameters against the contract: unknown and missing ones, values and references of a wrong type."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from controlplane.manifests.compiling.references import (
    ANY,
    BadReference,
    Scope,
    Shape,
    field_named,
    is_mapping,
    parse_reference,
    shape_of,
)
from controlplane.manifests.compiling.step_kinds import BUILT_IN, BuiltInKind
from controlplane.manifests.text.findings import FieldPath, Problem, shown, suggestion

_EXAMPLES = {
    "DatasetLocation": "${migration.source} or ${migration.destination}",
    "Datastore": "${migration.staging}",
    "Staged": "${steps.extract.output}",
    "Column": "${migration.destination.columns}",
    "TestQuery": "${migration.testQueries}",
    "Waiver": "${migration.waive}",
}
_INTEGER_LIMITS = {
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
}


def check_params(kind: str, params: Mapping[str, object], scope: Scope, at: FieldPath) -> list[Problem]:
    """Check a step's parameters as written. ``at`` is the path of ``params`` in its document."""
    built_in = BUILT_IN.get(kind)
    if built_in is None:
        return _check_free(params, scope, at)
    problems: list[Problem] = []
    given: set[str] = set()
    for name, value in params.items():
        field = field_named(built_in.params_descriptor, name)
        if field is not None and field.json_name in built_in.granted:
            message = f"{shown(name)} is not for a workflow to say"
            problems.append(Problem((*at, name), message, "write showValues: true in the Dataset", at_key=True))
            continue
        if field is None:
            names = [known.json_name for known in built_in.params_descriptor.fields]
            names = [known for known in names if known not in built_in.granted]
            message = f"{shown(name)} is not a parameter of {kind}"
            problems.append(Problem((*at, name), message, suggestion(name, names), at_key=True))
            continue
        if field.json_name in given:
            problems.append(Problem((*at, name), f"{field.json_name} is given twice", "keep one", at_key=True))
        given.add(field.json_name)
        problems.extend(_check_given(field, value, scope, (*at, name)))
    return problems + _missing(kind, built_in, given, at)


def _missing(kind: str, built_in: BuiltInKind, given: set[str], at: FieldPath) -> list[Problem]:
    problems = []
    for name in built_in.required:
        if name not in given:
            field = field_named(built_in.params_descriptor, name)
            example = _EXAMPLES.get(shape_of(field).type, "") if field is not None else ""
            if name == "sql":
                example = "${migration.transform}"
            elif name in ("source", "destination"):
                example = f"${{migration.{name}}}"
            hint = f"add {name}: {example}" if example else f"add {name}"
            problems.append(Problem((*at, name), f"{kind} needs the parameter {name}", hint))
    return problems


def _check_given(field: FieldDescriptor, value: object, scope: Scope, at: FieldPath) -> list[Problem]:
    wanted = shape_of(field)
    if is_mapping(field):
        return _check_mapping(value, scope, at)
    try:
        reference = parse_reference(value)
        if reference is None:
            problem = check_literal(field, value, at)
            return [problem] if problem is not None else []
        found = scope.shape(reference)
    except BadReference as error:
        return [Problem(at, str(error), error.hint)]
    if fits(found, wanted):
        return []
    hint = f"for example {_EXAMPLES[wanted.type]}" if wanted.type in _EXAMPLES else ""
    return [Problem(at, f"this takes a {wanted}, and {reference} is a {found}", hint)]


def _check_mapping(value: object, scope: Scope, at: FieldPath) -> list[Problem]:
    """Check values by name: each is text, a whole number, or a reference to one."""
    if not isinstance(value, Mapping):
        return [Problem(at, "this must be values by name", "for example {table: crew}")]
    problems = []
    for name, item in value.items():
        try:
            reference = parse_reference(item)
            found = scope.shape(reference) if reference is not None else None
        except BadReference as error:
            problems.append(Problem((*at, name), str(error), error.hint))
            continue
        is_plain = isinstance(item, str | int) and not isinstance(item, bool)
        if not (is_plain if found is None else found in (ANY, Shape("text"), Shape("whole number"))):
            told = "this must be text or a whole number" + (f", and {reference} is a {found}" if found else "")
            problems.append(Problem((*at, name), told))
    return problems


def fits(found: Shape, wanted: Shape) -> bool:
    """Say whether a value of one shape can stand where another is wanted."""
    if found in (ANY, wanted):
        return True
    return found.repeated == wanted.repeated and (found.type, wanted.type) == ("whole number", "number")


def check_literal(field: FieldDescriptor, value: object, at: FieldPath) -> Problem | None:
    """Check a literal value of a contract field; None when it is right."""
    wanted = shape_of(field)
    if field.message_type is not None or field.is_repeated:
        return Problem(at, f"this takes a {wanted} by reference", f"for example {_EXAMPLES.get(wanted.type, '')}")
    if field.enum_type is not None:
        if isinstance(value, str) and enum_name(field.enum_type, value) is not None:
            return None
        words = _enum_words(field.enum_type)
        hint = suggestion(value, words) if isinstance(value, str) else "known: " + ", ".join(words)
        return Problem(at, f"this must be one of {', '.join(words)}", hint)
    if isinstance(value, bool):
        right = wanted.type == "true or false"
    elif wanted.type == "whole number":
        right = isinstance(value, int)
    elif wanted.type == "number":
        right = isinstance(value, int | float)
    else:
        right = wanted.type == "text" and isinstance(value, str)
    if not right:
        return Problem(at, f"this must be a {wanted}" if wanted.type != "text" else "this must be text")
    limits = _INTEGER_LIMITS.get(field.cpp_type)
    if limits is not None and isinstance(value, int) and not limits[0] <= value <= limits[1]:
        return Problem(at, f"this must be between {limits[0]} and {limits[1]}")
    return None


def enum_name(enum: EnumDescriptor, word: str) -> str | None:
    """Return the contract's name of an enum value that people write short ("replace"), or None."""
    for value in enum.values:
        if value.number and word in (value.name, _short(enum, value.name)):
            return value.name
    return None


def _enum_words(enum: EnumDescriptor) -> list[str]:
    return [_short(enum, value.name) for value in enum.values if value.number]


def _short(enum: EnumDescriptor, name: str) -> str:
    prefix = "".join("_" + letter if letter.isupper() and index else letter for index, letter in enumerate(enum.name))
    return name.removeprefix(prefix.upper() + "_").lower()


def _check_free(value: object, scope: Scope, at: FieldPath) -> list[Problem]:
    if isinstance(value, Mapping):
        return [problem for key, item in value.items() for problem in _check_free(item, scope, (*at, key))]
    if isinstance(value, list):
        return [problem for index, item in enumerate(value) for problem in _check_free(item, scope, (*at, index))]
    try:
        reference = parse_reference(value)
        if reference is not None:
            scope.shape(reference)
    except BadReference as error:
        return [Problem(at, str(error), error.hint)]
    return []
