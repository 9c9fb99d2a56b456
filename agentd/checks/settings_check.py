"""`haulier-agentd check --settings`: whether a release may bring what lies in a directory. Asked when it is built.

It runs from the tree that becomes the release, so that what is judged is what will be read.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from agentd.config import reading as config
from agentd.config.reading import ConfigBroken
from agentd.enforcement import unit_drop_in
from agentd.enforcement.unit_drop_in import DropInFailed
from agentd.installation.release_tree import CONFIGURATION, POLICY
from agentd.policy import reading
from agentd.policy.explaining import sentences
from agentd.policy.refusals import PolicyBroken

Told = Mapping[str, Any]
Judge = Callable[[Told], None]


class SettingsRefused(Exception):
    """A release may not bring these settings; says the file, the line and the field."""


def explained(directory: Path) -> str:
    """What the settings in `directory` say, in sentences. Raises SettingsRefused."""
    judges = {CONFIGURATION.name: config.check_brought, POLICY.name: _check_policy}
    try:
        found = sorted(directory.iterdir())
    except OSError as error:
        raise SettingsRefused(f"{directory}: cannot be read: {error.strerror}") from error
    if not found:
        raise SettingsRefused(f"{directory}: holds neither {' nor '.join(judges)}")
    told: list[str] = []
    for path in found:
        if path.name not in judges or path.is_symlink() or not path.is_file():
            raise SettingsRefused(f"{path}: settings are the files {' and '.join(judges)}, and nothing else")
        parsed = _judged(path, judges[path.name])
        if path.name == POLICY.name:
            told += [f"The policy {path}", "", *sentences(reading.policy_of(parsed, path))]
        else:
            told += [f"The configuration {path}", "", *(f"{key} = {value!r}" for key, value in parsed.items()), ""]
    return "\n".join([*told, ""])


def _check_policy(told: Told) -> None:
    unit_drop_in.render(reading.policy_of(told, POLICY), 0)


def _judged(path: Path, judge: Judge) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        told = tomllib.loads(text)
    except (OSError, ValueError) as error:
        # tomllib says the line itself.
        raise SettingsRefused(f"{path}: {error}") from error
    objection = _objection(judge, told)
    if objection:
        field = _field(told, judge)
        line = _line(text, field)
        where = f" line {line}:" if line else ""
        raise SettingsRefused(f"{path}:{where} {'.'.join(field)}: {objection}")
    return told


def _objection(judge: Judge, told: Told) -> str:
    try:
        judge(told)
    except (ConfigBroken, PolicyBroken, DropInFailed) as error:
        return str(error)
    return ""


def _field(told: Told, judge: Judge) -> tuple[str, ...]:
    """The key that the judge objects to: the innermost without which there would be no objection, or that it names."""
    before, found = _objection(judge, told), []
    for name, value in told.items():
        objection = _objection(judge, {key: each for key, each in told.items() if key != name})
        is_named = re.search(rf"\b{re.escape(name)}\b", before) is not None
        if is_named or objection != before:
            found.append((bool(objection), not is_named, name, value))
    if not found:
        return ()
    *_, name, value = min(found, key=lambda each: each[:2])
    if not isinstance(value, dict):
        return (name,)
    return (name, *_field(value, lambda inner: judge({**told, name: inner})))


def _line(text: str, field: tuple[str, ...]) -> int:
    """The line, from 1, where a key is set or else the table that it is in begins; 0 where that is not seen."""
    table: tuple[str, ...] = ()
    lines: dict[tuple[str, ...], int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*(\[[^\[\]]+\])\s*(#.*)?$", line)
        if header:
            table = _names(header[1])
            lines.setdefault(table, number)
        elif key := re.match(r"\s*([^=#\[]+?)\s*=", line):
            names = _names(f"{key[1]} = 0")
            for depth in range(1, len(names) + 1) if names else ():
                lines.setdefault((*table, *names[:depth]), number)
    for length in range(len(field), 0, -1):
        if field[:length] in lines:
            return lines[field[:length]]
    return 0


def _names(statement: str) -> tuple[str, ...]:
    try:
        found: Any = tomllib.loads(statement)
    except ValueError:
        return ()
    names = []
    while isinstance(found, dict) and found:
        name, found = next(iter(found.items()))
        names.append(name)
    return tuple(names)
