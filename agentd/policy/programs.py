"""Programs that the host names: what they are, what may be said to them, and whether running them twice is harmless.

A control plane says a name and typed values. Which file runs, and every word of its command line that is not a value,
is the host's.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_TEXT_CHARACTERS_MAX = 4096


class BadValue(Exception):
    """A value that a program may not be given; the message says which and why."""


@dataclass(frozen=True, slots=True)
class ValueRule:
    """What one placeholder may stand for. `type` is text, integer, path, dataset or choice."""

    type: str
    pattern: str = ""
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = 2**63 - 1

    def text_of(self, name: str, value: str, path: Callable[[str], str]) -> str:
        """The value as one word of a command line; raises BadValue. `path` resolves one that must be below a root."""
        if "\0" in value or len(value) > _TEXT_CHARACTERS_MAX or not value.isprintable():
            raise BadValue(f"value {name!r} is too long, or holds characters that do not print")
        if self.type == "choice" and value not in self.choices:
            raise BadValue(f"value {name!r} is none of {', '.join(self.choices)}")
        if self.type == "integer":
            return self._integer(name, value)
        if self.type == "text":
            if not re.fullmatch(self.pattern, value):
                raise BadValue(f"value {name!r} does not fit the pattern {self.pattern!r}")
            # A value is never taken for an option, whatever the pattern lets through.
            if value.startswith("-"):
                raise BadValue(f"value {name!r} begins with a dash, like an option")
        return path(value) if self.type == "path" else value

    def _integer(self, name: str, value: str) -> str:
        if not re.fullmatch(r"-?[0-9]{1,19}", value) or not self.least <= int(value) <= self.most:
            raise BadValue(f"value {name!r} is not a whole number from {self.least} to {self.most}")
        return str(int(value))


@dataclass(frozen=True, slots=True)
class ProgramRule:
    """One program. `sha256` is of the file at `path`; `arguments` may hold {name} for the values it takes.

    `safe_to_repeat` is the host's sentence saying why running it twice is harmless; `undo` names the program that
    undoes it, with the same values, and "" where the host says that there is nothing to undo.
    """

    name: str
    path: str
    sha256: str
    safe_to_repeat: str
    arguments: tuple[str, ...] = ()
    values: Mapping[str, ValueRule] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 3600.0
    undo: str = ""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    output_bytes_max: int = 16384

    def command(self, values: Mapping[str, str], path: Callable[[str], str]) -> list[str]:
        """Words after the program's own name. Raises BadValue for a value too many, too few or not allowed."""
        strange = sorted(values.keys() - self.values.keys())
        if strange:
            raise BadValue(f"program {self.name!r} takes no value {strange[0]!r}")
        missing = sorted(self.values.keys() - values.keys())
        if missing:
            raise BadValue(f"program {self.name!r} needs the value {missing[0]!r}")
        texts = {name: rule.text_of(name, values[name], path) for name, rule in self.values.items()}
        # One pass over the host's words: a value that looks like a placeholder stays text.
        return [_PLACEHOLDER.sub(lambda found: texts[found[1]], word) for word in self.arguments]


def placeholders(words: tuple[str, ...]) -> set[str]:
    """Names that stand in braces in the words of a command line."""
    return {name for word in words for name in _PLACEHOLDER.findall(word)}
