"""What hangs on an object beside its rows, by name: what a move leaves behind, and what a replacement would destroy."""

from collections.abc import Iterable
from dataclasses import dataclass

from haulier.v1 import kinds_pb2 as k

_PREFIX = "DEFINITION_KIND_"

# Word → number, in the contract's order; the contract is the only list of kinds.
KINDS = {name.removeprefix(_PREFIX).lower(): number for name, number in k.DefinitionKind.items() if number}


@dataclass(frozen=True, slots=True)
class Definition:
    """One of them. `kind` is a word of KINDS, `name` what people call it there; never a value of a row."""

    kind: str
    name: str

    def __str__(self) -> str:
        """For messages, such as "index by_depot"."""
        return f"{self.kind.replace('_', ' ')} {self.name}"


def in_order(found: Iterable[Definition]) -> list[Definition]:
    """Each once, by kind in the contract's order, then by name."""
    return sorted(set(found), key=lambda each: (KINDS[each.kind], each.name))


def left_behind(source: Iterable[Definition], destination: Iterable[Definition]) -> list[Definition]:
    """What the source has and the destination has not, in order."""
    return in_order(set(source) - set(destination))
