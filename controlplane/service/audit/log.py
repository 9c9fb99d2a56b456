"""The audit log: events become leaves of a Merkle tree, and a signed head says so about once a second.

Sealing reads events that are committed already, so it costs the hot path no statement. Whatever contradicts the log
is a trouble: it is told as an event, in the log and to whoever asks, and no further head is signed until an
administrator has looked and begun a new era.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from controlplane.core.audit.heads import FIRST_ERA, LogEra, TreeHead
from controlplane.core.audit.leaves import leaf_of
from controlplane.core.audit.merkle_tiles import BrokenTile, MissingTile, Place, Tiles
from controlplane.core.events import Event
from controlplane.service.events.counts import EventCounts
from controlplane.service.events.log_writer import Teller
from controlplane.service.signals import Signal
from controlplane.store.port import Store, Tx

T = TypeVar("T")

_log = logging.getLogger("haulier.audit")

# Events that are hashed at once: less than a millisecond of the event loop.
EVENTS_AT_ONCE = 256
# Events under one signature, so that a long backlog is sealed bit by bit.
ROWS_PER_HEAD_MAX = 4096
# Roots that were signed or verified lately, so that a heartbeat is compared without a look into the tree.
ROOTS_KEPT = 4096
TROUBLES_MAX = 20
AUDIT_SUBJECT = "audit"


class Signer(Protocol):
    """Who signs heads; see ``identity.audit_key``."""

    key_id: str
    public_key: bytes

    def head(self, era: int, size: int, root: bytes) -> TreeHead: ...


class AuditLog:
    """The tree of one store, and what was found wrong with it."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        signer: Signer,
        is_signed: Callable[[TreeHead, bytes], bool],
        changed: Signal,
        counts: EventCounts | None = None,
        teller: Teller | None = None,
    ) -> None:
        """``is_signed`` tells whether a head bears the signature of a public key; ``counts`` counts what is sealed.

        ``teller`` writes it to the log.
        """
        self._store = store
        self._clock = clock
        self.signer = signer
        self.is_signed = is_signed
        self._changed = changed
        self.counts = counts or EventCounts()
        self._teller = teller
        self.head: TreeHead | None = None
        self.eras: Sequence[LogEra] = ()
        self.tiles = Tiles()
        self.troubles: list[str] = []
        self.disturbed = True  # a thorough check is due: the process has just started, or a stranger has written
        self._writes_seen: int | None = None
        self._roots: dict[int, bytes] = {}
        self.loaded = False

    @property
    def era(self) -> int:
        """The era that new heads are of."""
        return self.eras[-1].era if self.eras else FIRST_ERA

    async def seal(self) -> None:
        """Sign a head over whatever was committed since the last one; look whether a stranger has written."""
        if not self.loaded:
            await self._load()
        look = await self._store.write(lambda tx: (tx.foreign_writes(), tx.last_position(), tx.take_recorded()))
        writes, last, recorded = look
        self.counts.count(recorded, self._clock())
        if self._teller is not None:
            await self._teller.tell(recorded)
        if self._writes_seen is not None and writes != self._writes_seen:
            self.disturbed = True
            _log.warning("another program has written to the store: the audit log is checked from its beginning")
        self._writes_seen = writes
        if last < self.tiles.size:
            await self.trouble(f"the log ends at position {last}, {self.tiles.size} were sealed: its end was cut off")
        if last > self.tiles.size and not self.troubles:
            await self._keep_edge()
            # What this process recorded since the last pass is sealed from memory, the rest is read back.
            await self._seal_to(last - len(recorded))
            if not self.troubles:
                await self._seal(await _grown(self.tiles, last - len(recorded), recorded))

    async def _seal_to(self, last: int) -> None:
        """Seal what is stored up to a position."""
        while self.tiles.size < last and not self.troubles:
            limit = min(ROWS_PER_HEAD_MAX, last - self.tiles.size)
            after = self.tiles.size
            rows = await self._store.read(lambda tx, after=after, limit=limit: tx.events_after(after, "", limit))  # type: ignore[misc]
            gap = next((n for n, (position, _) in enumerate(rows, after + 1) if position != n), 0)
            if gap or not rows:
                await self.trouble(f"position {gap or after + 1} of the log is missing: it was deleted unsealed")
                return
            await self._seal(await _grown(self.tiles, after, [event for _, event in rows]))

    async def _keep_edge(self) -> None:
        """Have the tiles at hand that the next leaves are appended to."""
        missing = self.tiles.keep(self.tiles.edge())
        if missing:
            for place, hashes in (await self._store.read(lambda tx: tx.audit_tiles(missing))).items():
                self.tiles.put(place, hashes)

    async def _seal(self, grown: tuple[Tiles, dict[Place, bytes]]) -> None:
        """Sign a head over a grown tree, and keep both."""
        tiles, changed = grown
        if tiles.size == self.tiles.size:
            return
        head = self.signer.head(self.era, tiles.size, tiles.root())

        def keep(tx: Tx) -> None:
            tx.put_audit_tiles(changed)
            tx.put_audit_head(head)

        await self._store.write(keep)
        # Only now may anybody see it: a head that a crash could take back would make witnesses of a lie.
        self.tiles, self.head = tiles, head
        self.remember(head.size, head.root)

    async def _load(self) -> None:
        """Take over the newest head with the edge of its tree."""

        def load(tx: Tx) -> tuple[TreeHead | None, list[LogEra], Tiles]:
            head = tx.audit_head()
            tiles = Tiles(head.size if head else 0)
            for place, hashes in tx.audit_tiles(tiles.edge()).items():
                tiles.put(place, hashes)
            return head, tx.audit_eras(), tiles

        try:
            self.head, self.eras, self.tiles = await self._store.read(load)
            found = await self.from_tree(lambda tiles: tiles.root())
        except (BrokenTile, MissingTile) as broken:
            await self.trouble(f"the tree of the log is damaged: {broken}")
            found = None
        if self.head is not None:
            if found is not None and found != self.head.root:
                await self.trouble(f"the tree does not belong to the newest head, of {self.head}")
            if not self.is_signed(self.head, self.signer.public_key):
                await self.trouble(f"the newest head, of {self.head}, was not signed by this control plane's audit key")
            self.remember(self.head.size, self.head.root)
        self.loaded = True

    async def from_tree(self, ask: Callable[[Tiles], T]) -> T:
        """Compute something from the tree, fetching the tiles it takes. Raises ``BrokenTile`` or ``MissingTile``."""
        tiles = self.tiles
        while True:
            try:
                return ask(tiles)
            except MissingTile as missing:
                place = missing.place
                stored = (await self._store.read(lambda tx, place=place: tx.audit_tiles([place]))).get(place)  # type: ignore[misc]
                if stored is None:
                    raise
                # A tile at the edge may have grown since; the tree that is asked has only its beginning.
                tiles.put(place, stored[: tiles.bytes_of(place)])

    def known_root(self, size: int) -> bytes | None:
        """Return the root at a size that was signed or verified lately."""
        return self._roots.get(size)

    def remember(self, size: int, root: bytes) -> None:
        """Keep a root that is known to be of this tree."""
        while len(self._roots) >= ROOTS_KEPT:
            del self._roots[next(iter(self._roots))]
        self._roots[size] = root

    async def trouble(self, what: str) -> None:
        """Tell, once, that the log is not what it was; from now on no head is signed."""
        if what in self.troubles or len(self.troubles) >= TROUBLES_MAX:
            return
        self.troubles.append(what)
        _log.critical("THE AUDIT LOG IS NOT INTACT: %s", what)
        await self.tell("AuditLogContradicted", AUDIT_SUBJECT, what)

    async def tell(self, event: str, subject: str, detail: str) -> None:
        """Record an event about the log itself."""
        now = self._clock()
        agent_id = subject if subject.startswith("ag_") else None
        await self._store.write(lambda tx: tx.record([Event(now, event, subject, agent_id=agent_id, detail=detail)]))
        self._changed.ring()


async def _grown(tiles: Tiles, first: int, events: Sequence[Event]) -> tuple[Tiles, dict[Place, bytes]]:
    """Append to a tree what it lacks of the events that follow position ``first``; return it with its new tiles."""
    changed: dict[Place, bytes] = {}
    for start in range(tiles.size - first, len(events), EVENTS_AT_ONCE):
        part = events[start : start + EVENTS_AT_ONCE]
        tiles, more = tiles.grown(leaf_of(position, event) for position, event in enumerate(part, first + start + 1))
        changed |= more
        # Others have their turn in between: this goes on beside whatever the control plane is doing.
        await asyncio.sleep(0)
    return tiles, changed
