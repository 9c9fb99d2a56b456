"""What hangs on an object beside its rows, by name: what a move leaves behind, and what a replacement would destroy."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.failures import StepFailure

_PREFIX = "DEFINITION_KIND_"
_LISTED_MAX = 20

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


@dataclass(frozen=True, slots=True)
class Waiver:
    """Consent to lose every definition of a kind, or the one of this name."""

    kind: str
    name: str = ""

    def covers(self, found: Definition) -> bool:
        """Whether this very definition may be lost."""
        return self.kind == found.kind and self.name in ("", found.name)


# Who loses one of these shows rows that were protected, or ends what other systems follow: no waiver covers it.
NEVER_WAIVED = frozenset({"row_security", "policy", "publication"})
# Columns and privileges of a replacement are the new table's own, or are given to it.
CARRIED = frozenset({"not_null", "type", "grant"})


def require_waived(
    table: str,
    found: Iterable[Definition],
    waivers: Iterable[Waiver],
    carried: frozenset[str] = CARRIED,
    never: frozenset[str] = NEVER_WAIVED,
) -> list[Definition]:
    """What a replacement of the table loses as was waived, in order.

    Raises StepFailure that names what would be lost without a waiver. Kinds in `carried` are not lost, and no waiver
    covers those in `never`.
    """
    waivers = tuple(waivers)
    lost = [each for each in in_order(found) if each.kind not in carried]
    kept = [each for each in lost if each.kind in never]
    unwaived = [each for each in lost if each.kind not in never and not any(w.covers(each) for w in waivers)]
    if kept or unwaived:
        raise _would_lose(table, kept, unwaived)
    return lost


def _would_lose(table: str, kept: list[Definition], unwaived: list[Definition]) -> StepFailure:
    hints = []
    if kept:
        hints.append(f"Take {_listed(kept)} off the table yourself, if that is wanted: no waiver covers it.")
    if unwaived:
        words = json.dumps([f"{each.kind}:{each.name}" for each in unwaived], ensure_ascii=False)
        hints.append(
            f"Drop {_listed(unwaived)} yourself and retry, or roll back, write `waive: {words}` into the Migration's "
            "spec, and start it again."
        )
    return StepFailure(
        "would_lose",
        f"{table!r} cannot be replaced: that would lose {_listed([*kept, *unwaived])}",
        " ".join(hints),
    )


def _listed(found: list[Definition]) -> str:
    more = f" and {len(found) - _LISTED_MAX} more" if len(found) > _LISTED_MAX else ""
    return ", ".join(map(str, found[:_LISTED_MAX])) + more


def in_order(found: Iterable[Definition]) -> list[Definition]:
    """Each once, by kind in the contract's order, then by name."""
    return sorted(set(found), key=lambda each: (KINDS[each.kind], each.name))


def left_behind(source: Iterable[Definition], destination: Iterable[Definition]) -> list[Definition]:
    """What the source has and the destination has not, in order."""
    return in_order(set(source) - set(destination))
