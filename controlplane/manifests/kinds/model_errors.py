"""Turns what pydantic says about a value into problems that say how to mend it. No value is ever repeated."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from controlplane.manifests.kinds.documents import FINDINGS_MAX
from controlplane.manifests.text.findings import FieldPath, Problem, near_miss, shown, suggestion

_PLAIN_MESSAGES = {
    "string_type": ("this must be text", 'put the value into quotes, as in "2013"'),
    "int_type": ("this must be a whole number", "write it without quotes and without a fraction"),
    "int_from_float": ("this must be a whole number", "write it without a fraction"),
    "int_parsing": ("this must be a whole number", "write it without quotes and without a fraction"),
    "float_type": ("this must be a number", "write it without quotes"),
    "float_parsing": ("this must be a number", "write it without quotes"),
    "bool_type": ("this must be true or false", "write true or false, without quotes"),
    "dict_type": ("this must be a mapping", "write its fields as name: value, one a line and indented"),
    "model_type": ("this must be a mapping", "write its fields as name: value, one a line and indented"),
    "tuple_type": ("this must be a list", "write [a, b], or one item a line after '- '"),
}


def problems_of(error: ValidationError, model: type[BaseModel], data: object, at: FieldPath) -> list[Problem]:
    """Translate every complaint about ``data``, which stands at ``at`` in its document."""
    details = error.errors(include_url=False, include_input=False)[: 2 * FINDINGS_MAX]
    faulty = {detail["loc"][:depth] for detail in details for depth in range(len(detail["loc"]))}
    misspelt = {
        (*detail["loc"][:-1], _meant(detail, model)) for detail in details if detail["type"] == "extra_forbidden"
    }
    problems = []
    for detail in details:
        # A list whose every item is wrong counts as empty too, and a misspelt field as missing: once is enough.
        echo = (detail["type"] == "too_short" and detail["loc"] in faulty) or (
            detail["type"] == "missing" and detail["loc"] in misspelt
        )
        if not echo:
            problems.append(_problem(detail, model, data, at))
    return problems


def _meant(detail: ErrorDetails, model: type[BaseModel]) -> str:
    path = detail["loc"]
    return near_miss(str(path[-1]), _field_names(model, path[:-1]))


def _problem(detail: ErrorDetails, model: type[BaseModel], data: object, at: FieldPath) -> Problem:
    kind, path = detail["type"], detail["loc"]
    if path and path[-1] == "[key]":
        path = path[:-1]
        at_key = True
    else:
        at_key = False
    where = (*at, *path)
    context = detail.get("ctx", {})
    if kind == "extra_forbidden":
        known = _field_names(model, path[:-1])
        hint = suggestion(str(path[-1]), known, "known: " + ", ".join(sorted(known)))
        return Problem(where, f"there is no field {shown(str(path[-1]))} here", hint, at_key=True)
    if kind == "missing":
        return Problem(where, "this field is required", f"add {path[-1]}: …")
    if kind == "haulier":
        return Problem(where, str(context["message"]), str(context["hint"]), at_key)
    if kind == "literal_error":
        return _not_one_of(where, context, _value_at(data, path))
    if kind in _PLAIN_MESSAGES:
        message, hint = _PLAIN_MESSAGES[kind]
        if _value_at(data, path) is None:
            message, hint = "this field is empty", "give it a value, or remove it"
        return Problem(where, message, hint, at_key)
    if kind == "too_short":
        return Problem(where, "this must not be empty", "give it at least one item", at_key)
    if kind in ("too_long", "string_too_long"):
        parts = "characters" if kind == "string_too_long" else "items"
        return Problem(where, f"this must have at most {context['max_length']} {parts}", "make it shorter", at_key)
    return Problem(where, _lowered(detail["msg"]), "", at_key)


def _not_one_of(where: FieldPath, context: Mapping[str, Any], value: object) -> Problem:
    expected = str(context.get("expected", ""))
    words = [word.strip().strip("'") for word in expected.replace(" or ", ", ").split(",")]
    hint = suggestion(value, words) if isinstance(value, str) else ""
    return Problem(where, f"this must be one of {', '.join(words)}", "" if hint.startswith("known") else hint)


def _lowered(message: str) -> str:
    text = message.removeprefix("Input should ").removeprefix("Value should ")
    return f"this must {text}" if text != message else message[:1].lower() + message[1:]


def _value_at(data: object, path: tuple[int | str, ...]) -> object:
    for part in path:
        if isinstance(data, Mapping):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
    return data


def _field_names(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the mapping at ``path`` below ``model`` may have."""
    current: type[BaseModel] | None = model
    inner: list[Any] = []
    for part in path:
        if isinstance(part, str) and current is not None:
            found = [info.annotation for info in current.model_fields.values() if info.alias == part]
            inner, current = found, _model_in(found)
        elif current is None:
            current = _model_in(inner)
    if current is None:
        return []
    return [info.alias or name for name, info in current.model_fields.items()]


def _model_in(annotations: list[Any]) -> type[BaseModel] | None:
    for annotation in annotations:
        if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
            if issubclass(annotation, BaseModel):
                return annotation
        else:
            found = _model_in(list(typing.get_args(annotation)))
            if found is not None:
                return found
    return None
