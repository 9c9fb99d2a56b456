"""Contract messages as JSON: every field under its contract name, whether set or not.

Enum values are their names without prefix and in lower case ("created"), bytes are hex, instants and durations are
seconds. Numbers are numbers, except fences: they use all 64 bits, which many JSON readers round, so they are strings.
What is JSON inside a text in the contract (`result_json`) is structure here, under the name without `_json`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message

# How fields of the contract end whose text is JSON.
_JSON = "_json"

# JSON escapes the first 32 control characters by itself; these others would still act on a terminal.
_ESCAPED = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")


def as_dict(message: Message) -> dict[str, Any]:
    """The message as plain values; messages that are not set are None."""
    return {field.name.removesuffix(_JSON): _field(message, field) for field in message.DESCRIPTOR.fields}


def _field(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        inner = field.message_type.fields_by_name["value"]
        return {str(key): _single(inner, value[key]) for key in sorted(value)}
    if field.is_repeated:
        return [_single(field, item) for item in value]
    if field.message_type is not None and not message.HasField(field.name):
        return None
    return _single(field, value)


def _single(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return as_dict(value)
    if field.enum_type is not None:
        return enum_word(field.enum_type.name, field.enum_type.values_by_number, value)
    if isinstance(value, bytes):
        return value.hex()
    if field.name.endswith(_JSON):
        return _structure(value)
    if field.name.endswith("fence"):
        return str(value)
    return value


def _structure(text: str) -> Any:
    """What a text of JSON holds, None where it is empty; a text that is none, from a newer control plane, as it is."""
    try:
        return _fences_as_text(json.loads(text)) if text else None
    except ValueError:
        return text


def _fences_as_text(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _fences_as_text(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_fences_as_text(item) for item in value]
    return str(value) if isinstance(value, int) and key.lower().endswith("fence") else value


def enum_word(type_name: str, values_by_number: Any, number: int) -> str:
    """ "created" for MANIFEST_CHANGE_CREATED; the number as text where this program does not know it yet."""
    known = values_by_number.get(number)
    if known is None:
        return str(number)
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type_name).upper() + "_"
    return str(known.name).removeprefix(prefix).lower()


def dump(value: Any, *, indent: int | None = 2) -> str:
    """`value` as JSON text that is safe to show in a terminal."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return _ESCAPED.sub(lambda match: f"\\u{ord(match.group()):04x}", text)
