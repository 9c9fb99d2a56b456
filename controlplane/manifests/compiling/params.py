"""Templates and results into the bytes an agent receives, and results into JSON for people and references."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from haulier.v1 import kinds_pb2

from controlplane.manifests.compiling.references import field_named
from controlplane.manifests.compiling.step_kinds import BUILT_IN
from controlplane.manifests.compiling.templates import attribute, to_json
from controlplane.manifests.text.findings import shown

# How fields of the contract end whose text is JSON.
_JSON = "_json"


class ParamsUnresolved(ValueError):
    """Parameters that cannot be made: a result is missing, unreadable or of the wrong form. The message says which."""


def compile_params(kind: str, template: str, results: Mapping[str, bytes]) -> bytes:
    """Make an attempt's parameters: a serialised message, or canonical JSON for a kind of somebody's own.

    ``template`` is ``StepPlan.template``; ``results`` holds the result bytes of earlier steps by name, at least those
    of ``needed_results``. Raises ParamsUnresolved.
    """
    plan = json.loads(template)
    params: dict[str, Any] = plan["params"]
    built_in = BUILT_IN.get(kind)
    if built_in is None:
        for hole in plan["holes"]:
            _put(params, hole["path"], _result_json(hole, results))
        return _canonical(params).encode()
    message = built_in.params()
    given = [(hole, _result_value(hole, results)) for hole in plan["holes"]]
    for hole, value in [each for each in given if len(each[0]["path"]) > 1]:
        by_name, name = hole["path"]
        params.setdefault(by_name, {})[name] = str(value)
    given = [each for each in given if len(each[0]["path"]) == 1]
    for hole, value in given:
        if hole["kind"] not in BUILT_IN:
            params[hole["path"][0]] = value
    try:
        json_format.ParseDict(params, message)
    except json_format.ParseError as error:
        raise ParamsUnresolved(f"the parameters of {kind} have the wrong form: {error}") from None
    for hole, value in given:
        if hole["kind"] in BUILT_IN:
            _set(message, hole["path"][0], value)
    return message.SerializeToString(deterministic=True)


def needed_results(template: str) -> tuple[str, ...]:
    """Return the names of the steps whose results a template refers to, each once, sorted."""
    return tuple(sorted({hole["step"] for hole in json.loads(template)["holes"]}))


def decode_result(kind: str, result: bytes) -> dict[str, Any]:
    """Read a result for people: camelCase fields, numbers as numbers, enums by name, bytes and digests as hex. What is
    JSON inside a text is read too, and its field is called without "Json".

    A result of a kind of somebody's own is its JSON; where it is none, ``{"bytes": length}``. Raises ParamsUnresolved
    when a built-in kind's result cannot be read.
    """
    if kind not in BUILT_IN:
        value = _json_or_none(result)
        return value if isinstance(value, dict) else {"bytes": len(result)} if value is None else {"value": value}
    return _readable(_parsed_result(kind, "", result))


def _json_or_none(result: bytes) -> Any:
    try:
        return json.loads(result)
    except ValueError:
        return None


def _parsed_result(kind: str, step: str, result: bytes) -> Message:
    message = BUILT_IN[kind].result()
    try:
        message.ParseFromString(result)
    except DecodeError:
        of = f" of the step {shown(step)}" if step else ""
        raise ParamsUnresolved(f"the result{of} is not a {message.DESCRIPTOR.name}") from None
    return message


def _result_value(hole: Mapping[str, Any], results: Mapping[str, bytes]) -> Any:
    """Return what a hole names: a message, a scalar, or a repeated field; JSON for a kind of somebody's own."""
    step, kind = hole["step"], hole["kind"]
    if step not in results:
        raise ParamsUnresolved(f"the step {shown(step)} has no result yet")
    if kind not in BUILT_IN:
        value = _json_or_none(results[step])
        for part in hole["field"]:
            if not isinstance(value, dict) or part not in value:
                raise ParamsUnresolved(f"the result of the step {shown(step)} has no {shown('.'.join(hole['field']))}")
            value = value[part]
        return value
    found: Any = _parsed_result(kind, step, results[step])
    for part in hole["field"]:
        found = attribute(found, part)
    return found


def _result_json(hole: Mapping[str, Any], results: Mapping[str, bytes]) -> Any:
    value = _result_value(hole, results)
    return value if hole["kind"] not in BUILT_IN else to_json(value)


def _set(message: Message, name: str, value: Any) -> None:
    field = field_named(kinds_pb2.DESCRIPTOR.message_types_by_name[message.DESCRIPTOR.name], name)
    if field is None:
        raise ParamsUnresolved(f"{shown(name)} is not a parameter")
    if field.is_repeated:
        getattr(message, field.name).extend(value)
    elif field.message_type is not None:
        getattr(message, field.name).CopyFrom(value)
    elif field.enum_type is not None:
        setattr(message, field.name, field.enum_type.values_by_name[value].number)
    else:
        setattr(message, field.name, value)


def _put(params: Any, path: list[str | int], value: Any) -> None:
    for part in path[:-1]:
        params = params[part]
    params[path[-1]] = value


def _canonical(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _readable(message: Message) -> dict[str, Any]:
    return {_name(field): _readable_field(field, getattr(message, field.name)) for field in _shown_fields(message)}


def _name(field: FieldDescriptor) -> str:
    return field.json_name.removesuffix("Json") if field.name.endswith(_JSON) else field.json_name


def _shown_fields(message: Message) -> list[FieldDescriptor]:
    fields = kinds_pb2.DESCRIPTOR.message_types_by_name[message.DESCRIPTOR.name].fields
    return [field for field in fields if not field.has_presence or message.HasField(field.name)]


def _readable_field(field: FieldDescriptor, value: Any) -> Any:
    if field.is_repeated:
        return [_readable_value(field, item) for item in value]
    return _readable_value(field, value)


def _readable_value(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return _readable(value)
    if field.name.endswith(_JSON):
        return _json_or_none(value) if value else None
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known is not None else value
    return value.hex() if field.type == FieldDescriptor.TYPE_BYTES else value
