"""Findings: what is wrong in a manifest, where, and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# A field inside a document: mapping keys and list indexes from the top, e.g. ("spec", "steps", 1, "needs").
FieldPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file as it was written: ``path`` is for messages only and never opened, ``content`` is UTF-8 YAML."""

    path: str
    content: bytes


ERROR, WARNING = "error", "warning"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One complaint. ``line`` and ``column`` count from 1; 0 means that the whole file is meant."""

    path: str
    line: int
    column: int
    field: str
    message: str
    hint: str = ""
    severity: str = ERROR  # an ERROR keeps everything from being kept, a WARNING nothing

    def __str__(self) -> str:
        """Read like a compiler's message: ``file:line:column: field: message (hint)``."""
        place = self.path + (f":{self.line}" if self.line else "") + (f":{self.column}" if self.column else "")
        field = f" {self.field}:" if self.field else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}:{field} {self.message}{hint}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A complaint about a field of a document whose place in a file is not known yet.

    ``at_key`` is true where the key itself is wrong (an unknown field), false where its value is.
    """

    field: FieldPath
    message: str
    hint: str = ""
    at_key: bool = False


class ManifestsRefused(ValueError):
    """Something that needs correct manifests was asked of wrong ones. ``findings`` says what is wrong with them."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


def field_text(field: FieldPath) -> str:
    """Write a field path the way people read it: ``spec.steps[1].needs``."""
    text = ""
    for part in field:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def near_miss(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return the known word most like ``word``, or "" when none is. Case alone never makes a word unlike another."""
    if len(word) > 200:
        return ""
    by_folded = {name.casefold(): name for name in sorted(known, reverse=True)}
    folded = word.casefold()
    if folded in by_folded:
        return by_folded[folded]
    close = difflib.get_close_matches(folded, by_folded, n=1, cutoff=cutoff)
    return by_folded[close[0]] if close else ""


def suggestion(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Write the hint for an unknown word: the near miss, or the known words when they are few, or ``otherwise``."""
    names = sorted(set(known))
    close = near_miss(word, names)
    if close:
        return f"did you mean {shown(close)}?"
    if otherwise:
        return otherwise
    if 0 < len(names) <= 12:
        return "known: " + ", ".join(shown(name) for name in names)
    return ""


def shown(word: str) -> str:
    """Quote a word for a message, shortened, with nothing that could move a terminal's cursor."""
    cut = word if len(word) <= 80 else word[:77] + "..."
    return '"' + "".join(letter if letter.isprintable() else "?" for letter in cut) + '"'
