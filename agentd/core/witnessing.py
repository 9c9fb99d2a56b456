"""The agent as a witness of the audit log: it keeps the newest head it saw, and believes no shorter one.

A log that was cut, rewritten or put back to an older state cannot show a proof (RFC 9162) that it continues what was
seen. Hashes are enough to notice; signatures matter only when an administrator says that the log goes on from another
state, after a restore. Heads arrive over mutual TLS from the control plane that this agent joined.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, slots=True)
class TreeHead:
    """A signed head: so many entries with this root. ``key_id`` names the key that signed."""

    era: int
    size: int
    root: bytes
    signature: bytes
    key_id: str

    def __str__(self) -> str:
        return f"{self.size} entries with root {self.root.hex()[:16]} in era {self.era}"


@dataclass(frozen=True, slots=True)
class LogEra:
    """An administrator's signed word that the log goes on from this state, and why."""

    era: int
    size: int
    root: bytes
    generation: int
    reason: str
    signature: bytes
    public_key: bytes


@dataclass(frozen=True, slots=True)
class ShownHead:
    """A head with the proof that it continues the one of ``since`` entries."""

    head: TreeHead
    since: int = 0
    proof: tuple[bytes, ...] = ()
    begun: LogEra | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """The head is the newest one now and is to be made durable; ``note`` is for the log unless empty."""

    head: TreeHead
    note: str = ""


@dataclass(frozen=True, slots=True)
class Unsure:
    """A new era is claimed: its signatures decide."""

    shown: ShownHead


@dataclass(frozen=True, slots=True)
class Alarmed:
    """The log contradicts what was seen; said once for each kind of contradiction, until a head is kept again."""

    because: str


Answer = Kept | Unsure | Alarmed | None


class Witness:
    """What one agent has seen of the log, over all its lives.

    The control plane proves each head from one that it was told. An answer may therefore be late: it proves a newer
    head from one that was kept before. Such an answer is passed over; one that proves from a head that was never told
    in this session is an alarm.
    """

    def __init__(self, head: TreeHead | None = None) -> None:
        #: The newest head that was seen and follows from all before; None where none was seen yet.
        self.head = head
        #: What the log contradicts; empty while all is well.
        self.trouble = ""
        #: Kinds of contradiction that were told, so that each is told once until a head is kept again.
        self._alarmed: set[str] = set()
        #: Heads told in this session, oldest first, from the one that was answered last. None: nothing was seen yet.
        self._told: list[TreeHead | None] = []

    def greet(self) -> TreeHead | None:
        """Return what to say in the hello of a new session: answers to an earlier one reach nobody."""
        self._told.clear()
        return self.tell()

    def tell(self) -> TreeHead | None:
        """Return what to say was seen. Every heartbeat says it: to an older control plane silence means *nothing*."""
        if self.head not in self._told:
            self._told.append(self.head)
        return self.head

    def see(self, shown: ShownHead) -> Answer:
        """Compare a head that is shown with the one that is kept."""
        own, new = self.head, shown.head
        if own is None:
            # The first one: whose key signs is pinned with it.
            return self._keep(new, "")
        if new.key_id != own.key_id:
            return self._alarm("key", f"heads are signed by key {new.key_id[:16]}, not by {own.key_id[:16]} as before")
        if new.era > own.era:
            return self._new_era(shown)
        if new.era < own.era or new.size < own.size:
            return self._alarm("cut", f"it shows {new}; this agent has seen {own}: it was cut, or is an older copy")
        if new.size == own.size:
            if new.root != own.root:
                return self._alarm("changed", f"it shows {new}; this agent has seen {own}: entries were changed")
            return None
        if shown.since != own.size:
            return self._late(shown, own)
        if not proves_consistency(own.size, new.size, own.root, new.root, shown.proof):
            what = f"it shows {new}, and its proof does not continue {own}: entries were changed"
            return self._alarm("changed", what)
        return self._keep(new, "")

    def _late(self, shown: ShownHead, own: TreeHead) -> Answer:
        answered = [n for n, told in enumerate(self._told) if told != own and _answers(shown, told)]
        if not answered:
            return self._alarm("unproven", f"it shows {shown.head} without a proof that it continues {own}")
        # Answers come in order: to what was told before this one there will be none.
        del self._told[: answered[-1]]
        return None

    def judged(self, shown: ShownHead, *, is_signed: bool) -> Answer:
        """Take over a new era, whose signatures were checked meanwhile."""
        own, new, begun = self.head, shown.head, shown.begun
        assert own is not None and begun is not None, "only what was unsure is judged"
        if new.era <= own.era:
            return None
        if not is_signed:
            return self._alarm("unsigned", f"it claims era {new.era} without the signature of key {own.key_id[:16]}")
        lost = f"; {own.size - begun.size} entries that were seen are gone" if own.size > begun.size else ""
        why = f"the audit log began era {new.era} with {begun.size} entries, by the administrator's word"
        return self._keep(new, f"{why}: {begun.reason}{lost}")

    def _new_era(self, shown: ShownHead) -> Answer:
        new, begun = shown.head, shown.begun
        if begun is None or begun.era != new.era:
            return self._alarm("era", f"it shows {new} without the administrator's word that began the era")
        if sha256(begun.public_key).hexdigest() != new.key_id:
            return self._alarm("key", f"the word that began era {new.era} is of another key")
        nothing = begun.size == 0 and not shown.proof
        if shown.since != begun.size or not (
            nothing or proves_consistency(begun.size, new.size, begun.root, new.root, shown.proof)
        ):
            return self._alarm("era", f"it shows {new}, which does not continue the beginning of its era")
        return Unsure(shown)

    def _keep(self, head: TreeHead, note: str) -> Kept:
        if self.head in self._told:
            del self._told[: self._told.index(self.head)]
        self.head, self.trouble = head, ""
        self._alarmed.clear()
        return Kept(head, note)

    def _alarm(self, kind: str, what: str) -> Alarmed | None:
        if kind in self._alarmed:
            # The log grows, so the same contradiction has other numbers each second.
            return None
        self._alarmed.add(kind)
        self.trouble = what
        return Alarmed(what)


def _answers(shown: ShownHead, told: TreeHead | None) -> bool:
    """Tell whether this is what the control plane answers to ``told``."""
    if told is None:
        return shown.since == 0
    if told.era < shown.head.era:
        return shown.begun is not None and shown.since == shown.begun.size
    return shown.since == told.size


def proves_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether ``proof`` shows that the tree of ``new`` leaves begins with the one of ``old`` (RFC 9162)."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    seen_old = seen_new = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            seen_old, seen_new = _node(other, seen_old), _node(other, seen_new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            seen_new = _node(seen_new, other)
        at, last = at >> 1, last >> 1
    return last == 0 and seen_old == old_root and seen_new == new_root


def _node(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()
