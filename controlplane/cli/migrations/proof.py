"""The proof inside a step's result, for people: what was compared, and the digests. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from haulier.v1 import operator_pb2 as op
from rich.console import RenderableType
from rich.text import Text

from controlplane.cli.screen import pieces, wording
from controlplane.cli.screen.terminal import Look

_HEX = re.compile(r"(?:[0-9a-f]{2})+")


def proof(step: op.StepView, look: Look, *, undone: bool = False) -> list[RenderableType]:
    """What a step's result proves; empty for steps that prove nothing. `undone`: it has been taken back since."""
    try:
        result = json.loads(step.result_json) if step.result_json else None
    except ValueError:
        return []
    checks = result.get("checks") if isinstance(result, dict) else None
    if not isinstance(result, dict) or not isinstance(checks, list):
        return []
    heading = "\nproof, before the undo" if undone else "\nproof"
    title = Text(heading, style="bold").append(f"  {wording.clean(step.name)} re-read ", style=pieces.QUIET)
    title.append(f"{wording.plural(_number(result.get('rows')), 'row')} at the destination", style=pieces.QUIET)
    parts: list[RenderableType] = [title, _check_table(checks)]
    for key, label in (("source_digest", "source"), ("destination_digest", "destination")):
        digest = _digest(_pick(result, key))
        if digest:
            parts.append(Text(f"{label + ' digest':<20}", style=pieces.QUIET).append(wording.clean(digest)))
    parts += _differences(result, look)
    return parts


def waived(step: op.StepView) -> RenderableType | None:
    """What a replaced object had and lost, as its Migration waived; None where it lost nothing."""
    try:
        result = json.loads(step.result_json) if step.result_json else None
    except ValueError:
        return None
    found = result.get("waived") if isinstance(result, dict) else None
    if not isinstance(found, list) or not found:
        return None
    text = Text("\nwaived", style="bold").append(f"  {wording.clean(step.name)} replaced, and lost", style=pieces.QUIET)
    for each in found:
        if isinstance(each, dict) and isinstance(each.get("names"), list):
            word = str(each.get("kind", "")).removeprefix("DEFINITION_KIND_").lower().replace("_", " ")
            text.append(f"\n{wording.clean(word)}: {wording.clean(', '.join(map(str, each['names'])))}")
            hidden = _number(each.get("count")) - len(each["names"])
            text.append(f" and {hidden} more" if hidden > 0 else "")
    return text


def rows_of(step: op.StepView) -> int | None:
    """Rows that a step's result counts; None where it counts none."""
    try:
        result = json.loads(step.result_json) if step.result_json else None
    except ValueError:
        return None
    if not isinstance(result, dict):
        return None
    output = result.get("output")
    holder = output if isinstance(output, dict) else result
    return _number(holder["rows"]) if "rows" in holder else None


def _check_table(checks: list[Any]) -> RenderableType:
    table = pieces.table(
        [
            pieces.column("check", flex=True),
            pieces.column("held"),
            pieces.column("expected", fold=True),
            pieces.column("found", fold=True),
        ]
    )
    for check in checks:
        if not isinstance(check, dict):
            continue
        passed = check.get("passed") is True
        table.add_row(
            pieces.name(str(check.get("name", ""))),
            pieces.state("passed" if passed else "failed"),
            pieces.prose(str(check.get("expected", ""))),
            pieces.prose(str(check.get("found", ""))),
        )
    return table


def _differences(result: dict[str, Any], look: Look) -> list[RenderableType]:
    listed = result.get("differences")
    total = _number(_pick(result, "differences_count"))
    if not isinstance(listed, list) or not listed:
        return []
    table = pieces.table([pieces.column("row"), pieces.column("key", fold=True), pieces.column("columns", fold=True)])
    for difference in listed:
        if isinstance(difference, dict):
            table.add_row(
                Text(wording.clean(str(difference.get("kind", ""))), style="red"),
                pieces.prose(_key(difference)),
                pieces.prose(_columns(difference)),
            )
    head = Text(f"\n{wording.plural(total or len(listed), 'differing row')}", style="bold red")
    return [head, table]


def _key(difference: dict[str, Any]) -> str:
    """What names a row: its key, or else its digest."""
    key = _structured(difference, "key")
    if isinstance(key, dict) and key:
        return ", ".join(f"{name}={_cell(value)}" for name, value in key.items())
    digest = _digest(_pick(difference, "row_digest"))
    return f"no key; digest {digest}" if digest else ""


def _columns(difference: dict[str, Any]) -> str:
    """The columns in which a row differs: with values where they may be shown, else with their shapes."""
    values = _structured(difference, "columns")
    if isinstance(values, dict) and values:
        pairs = {
            name: pair if isinstance(pair, list) and len(pair) == 2 else ["?", "?"] for name, pair in values.items()
        }
        return "\n".join(f"{name}: expected {_cell(a)}, found {_cell(b)}" for name, (a, b) in pairs.items())
    changed = difference.get("changed")
    lines = [_looks(column) for column in changed if isinstance(column, dict)] if isinstance(changed, list) else []
    return "\n".join(lines)


def _looks(column: dict[str, Any]) -> str:
    name = str(column.get("column", ""))
    expected, found = (str(_pick(column, key) or "") for key in ("expected_shape", "found_shape"))
    if not expected:
        return name
    return f"{name}: both {expected}" if expected == found else f"{name}: expected {expected}, found {found}"


def _cell(value: Any) -> str:
    return "NULL" if value is None else str(value)


def _structured(record: dict[str, Any], name: str) -> Any:
    """A field that is JSON in the contract: read already, or a text from a control plane of before."""
    if name in record:
        return record[name]
    text = _pick(record, f"{name}_json")
    try:
        return json.loads(text) if isinstance(text, str) and text else None
    except ValueError:
        return None


def _pick(record: dict[str, Any], key: str) -> Any:
    """A field by its contract name, or by the name that protobuf's own JSON gives it."""
    first, *rest = key.split("_")
    return record.get(key, record.get(first + "".join(word.title() for word in rest)))


def _number(value: Any) -> int:
    """A 64-bit number: protobuf's own JSON writes it as text."""
    try:
        return int(value)
    except (TypeError, ValueError):
        return 0


def _digest(value: Any) -> str:
    """Bytes as hex: protobuf's own JSON writes them in base64."""
    if not isinstance(value, str) or not value:
        return ""
    if _HEX.fullmatch(value) and len(value) >= 32:
        return value
    try:
        return base64.b64decode(value, validate=True).hex()
    except (binascii.Error, ValueError):
        return value
