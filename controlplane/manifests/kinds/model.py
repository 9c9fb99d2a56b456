"""What every kind of manifest is made of: the strict base model, names, text, durations, labels and metadata."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

API_VERSION = "haulier/v1"

NAME_LENGTH_MAX = 100
_NAME_FORM = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")
_STEP_NAME_FORM = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")
_IDENTIFIER_FORM = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LABEL_KEY_FORM = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_LABEL_VALUE_FORM = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)?")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")

_DURATION_FORM = re.compile(
    r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,7})m)?(?:([0-9]{1,9})s)?(?:([0-9]{1,9})ms)?"
)
_DURATION_UNITS_S = (86400.0, 3600.0, 60.0, 1.0, 0.001)
DURATION_S_MAX = 366 * 86400.0


class Model(BaseModel):
    """Base of everything a person writes: camelCase keys, unknown keys refused, values never shown in errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, hide_input_in_errors=True)


def refusal(message: str, hint: str = "") -> PydanticCustomError:
    """Make the error that a validator raises; ``hint`` says how to mend it."""
    return PydanticCustomError("haulier", "{message}", {"message": message, "hint": hint})


def _name(value: str) -> str:
    if len(value) <= NAME_LENGTH_MAX and _NAME_FORM.fullmatch(value):
        return value
    raise refusal(*_name_complaint(value, "'-', '_' or '.'"))


def _step_name(value: str) -> str:
    if len(value) <= NAME_LENGTH_MAX and _STEP_NAME_FORM.fullmatch(value):
        return value
    raise refusal(*_name_complaint(value, "'-' or '_'"))


def _name_complaint(value: str, inside: str) -> tuple[str, str]:
    message = f"a name has lower-case letters, digits and {inside} inside, and at most {NAME_LENGTH_MAX} characters"
    allowed = "a-z0-9_-" if "." not in inside else "a-z0-9._-"
    proposed = re.sub(f"[^{allowed}]+", "-", value.lower()).strip("-._")[:NAME_LENGTH_MAX]
    return message, f'for example "{proposed}"' if proposed and len(value) < 500 else ""


def _identifier(value: str) -> str:
    if len(value) <= NAME_LENGTH_MAX and _IDENTIFIER_FORM.fullmatch(value):
        return value
    raise refusal(
        "the name of a parameter has letters, digits and '_', and begins with no digit",
        "for example partRows",
    )


def _label_key(value: str) -> str:
    if len(value) <= 253 and _LABEL_KEY_FORM.fullmatch(value):
        return value
    raise refusal("a label's key has letters, digits, '-', '_' and '.', after an optional prefix such as example.com/")


def _label_value(value: str) -> str:
    if len(value) <= 63 and _LABEL_VALUE_FORM.fullmatch(value):
        return value
    raise refusal("a label's value has letters, digits, '-', '_' and '.', and at most 63 characters")


def _text(value: str) -> str:
    if _CONTROL.search(value):
        raise refusal("text must not contain control characters")
    return value


def _line(value: str) -> str:
    if not value.strip():
        raise refusal("this must not be empty")
    if "\n" in value or "\t" in value or _CONTROL.search(value):
        raise refusal("this must be one line of text without control characters")
    return value


def duration_s(text: str) -> float:
    """Read a duration such as "10m", "1h30m" or "500ms" as seconds. Raises ValueError for anything else."""
    match = _DURATION_FORM.fullmatch(text)
    if match is None or not text:
        raise ValueError("not a duration")
    seconds = sum(int(part) * unit for part, unit in zip(match.groups(), _DURATION_UNITS_S, strict=True) if part)
    if not 0 < seconds <= DURATION_S_MAX:
        raise ValueError("out of range")
    return seconds


def _duration(value: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise refusal("a duration needs its unit", f'for example "{value:g}s" for seconds or "{value:g}m" for minutes')
    if not isinstance(value, str):
        return value
    try:
        duration_s(value)
    except ValueError:
        raise refusal(
            "this is not a duration above 0 and up to 366 days",
            'write numbers with units d, h, m, s or ms, such as "10m" or "1h30m"',
        ) from None
    return value


Name = Annotated[str, AfterValidator(_name)]
StepName = Annotated[str, AfterValidator(_step_name)]
Identifier = Annotated[str, AfterValidator(_identifier)]
Text = Annotated[str, Field(max_length=100_000), AfterValidator(_text)]
Line = Annotated[str, Field(max_length=4096), AfterValidator(_line)]
Duration = Annotated[str, BeforeValidator(_duration)]
Whole = StrictInt
YesNo = StrictBool
Labels = dict[Annotated[str, AfterValidator(_label_key)], Annotated[str, AfterValidator(_label_value)]]
Priority = Annotated[int, Field(strict=True, ge=-1000, le=1000)]


class Metadata(Model):
    """What is said about a manifest rather than what it asks for."""

    name: Name = Field(description="Unique among the manifests of its kind.")
    labels: Labels = Field(default={}, description="Short values to select by.")
    annotations: dict[Line, Text] = Field(default={}, description="Longer notes, for people and tools.")
    description: Text = Field(default="", description="What this is, for people.")


class Placement(Model):
    """Where work may run."""

    labels: Labels = Field(default={}, description="Only on agents that carry all of these labels.")
