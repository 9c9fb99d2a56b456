"""Verifies a whole log from its entries alone: whoever holds them needs to believe nobody."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from controlplane.core.audit.heads import Contradicted, LogEra, TreeHead, judge_witness, key_id_of
from controlplane.core.audit.leaves import leaf_of
from controlplane.core.audit.merkle import Frontier
from controlplane.core.events import Event

# Position with either the event, or its leaf hash where the event is in an archive.
Entry = tuple[int, Event | bytes]
FAULTS_MAX = 20


@dataclass(frozen=True, slots=True)
class Seal:
    """What a log says of itself: its newest head, the public key, and the beginnings of later eras."""

    head: TreeHead | None
    public_key: bytes
    eras: Sequence[LogEra] = ()


@dataclass(slots=True)
class Verification:
    """What was found: ``faults`` is empty for a log that is what it was."""

    entries: int = 0
    archived: int = 0
    witnesses: int = 0
    key_id: str = ""
    faults: list[str] = field(default_factory=list)


def verify(
    seal: Seal,
    entries: Iterable[Entry],
    witnessed: Sequence[tuple[str, TreeHead]],
    *,
    head_is_signed: Callable[[TreeHead, bytes], bool],
    era_is_signed: Callable[[LogEra, bytes], bool],
) -> Verification:
    """Check the entries against the head, the head against its key, and both against what witnesses saw.

    ``witnessed`` holds (where it comes from, head).
    """
    verdict = Verification(key_id=key_id_of(seal.public_key), witnesses=len(witnessed))
    if seal.head is None:
        verdict.faults.append("the log has no signed head yet")
        return verdict
    if not head_is_signed(seal.head, seal.public_key):
        verdict.faults.append(f"the newest head, of {seal.head}, is not signed by key {verdict.key_id[:16]}")
    marks = {seal.head.size, *(begun.size for begun in seal.eras), *(head.size for _, head in witnessed)}
    roots = _roots(entries, seal.head.size, marks, verdict)
    if seal.head.size in roots and roots[seal.head.size] != seal.head.root:
        verdict.faults.append(f"the entries do not have the root of the newest head, of {seal.head}: one was changed")
    for begun in seal.eras:
        if not era_is_signed(begun, seal.public_key):
            verdict.faults.append(f"the beginning of era {begun.era} is not signed by key {verdict.key_id[:16]}")
        elif roots.get(begun.size) != begun.root:
            verdict.faults.append(f"era {begun.era} began with {begun.size} other entries than these")
    for where, head in witnessed:
        _compare(seal, where, head, roots, head_is_signed, verdict)
    return verdict


def _roots(entries: Iterable[Entry], size: int, marks: set[int], verdict: Verification) -> dict[int, bytes]:
    """Return the root at each size in ``marks``; what is missing or out of order is a fault."""
    frontier = Frontier()
    roots = {0: frontier.root()}
    for position, entry in entries:
        if position > size:
            break
        if position != frontier.size + 1:
            verdict.faults.append(
                f"after position {frontier.size} comes {position}: an entry is missing or out of order"
            )
            return roots
        if isinstance(entry, bytes):
            verdict.archived += 1
            frontier.add([entry])
        else:
            frontier.add([leaf_of(position, entry)])
        verdict.entries += 1
        if position in marks:
            roots[position] = frontier.root()
    if frontier.size < size:
        verdict.faults.append(f"the log ends after {frontier.size} entries, its newest head covers {size}")
    return roots


def _compare(
    seal: Seal,
    where: str,
    head: TreeHead,
    roots: dict[int, bytes],
    head_is_signed: Callable[[TreeHead, bytes], bool],
    verdict: Verification,
) -> None:
    if not head_is_signed(head, seal.public_key):
        verdict.faults.append(f"{where}: its head of {head} is signed by another key, or by none")
        return
    judged = judge_witness(seal.head, seal.eras, head, lambda size: roots.get(size, b""))
    if isinstance(judged, Contradicted):
        verdict.faults.append(f"{where}: {judged.because}")
