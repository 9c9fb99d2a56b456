"""Compares the rows of the event log with the tree that was made of them, again and again.

Right after the start, and whenever another program has written to the store, it goes through everything as fast as a
part of one core allows; otherwise it goes round slowly, for whoever changes the file past SQLite.
"""

from collections.abc import Callable
from typing import NamedTuple

from controlplane.core.audit_leaves import leaf_of
from controlplane.core.merkle import HASH_BYTES, Frontier
from controlplane.core.merkle_tiles import TILE_HASHES
from controlplane.service.audit_log import AuditLog
from controlplane.store.port import Store, Tx

ROWS_AT_ONCE = 8 * TILE_HASHES
ROWS_WHEN_QUIET = TILE_HASHES
# Of one second, while a thorough check is due.
BUSY_S = 0.25
NAMED_MAX = 5


class Found(NamedTuple):
    """What a look at some rows found."""

    leaves: list[bytes]  # as the rows say
    wrong: list[str]


class AuditChecker:
    """See the module; ``run`` is one pass, about once a second."""

    def __init__(self, store: Store, log: AuditLog, stopwatch: Callable[[], float]) -> None:
        """``stopwatch`` counts seconds, for the share of a core that a check may take."""
        self._store = store
        self._log = log
        self._stopwatch = stopwatch
        self._round = Frontier()
        self._thorough = False
        self.checked = 0  # entries since the start

    async def run(self) -> None:
        """Check some more entries."""
        if self._log.disturbed:
            # Whatever was looked at before may have been changed behind us.
            self._log.disturbed, self._thorough, self._round = False, True, Frontier()
        began_at = self._stopwatch()
        while (head := self._log.head) is not None and not self._log.troubles:
            first = self._round.size
            wanted = min(ROWS_AT_ONCE if self._thorough else ROWS_WHEN_QUIET, head.size - first)
            found = await self._store.read(lambda tx, first=first, wanted=wanted: look(tx, first, wanted))  # type: ignore[misc]
            self._round.add(found.leaves)
            self.checked += len(found.leaves)
            if found.wrong:
                await self._log.trouble("; ".join(found.wrong))
                return
            if self._round.size == head.size:
                if self._round.root() != head.root:
                    await self._log.trouble(f"entries and tree agree, but not with the newest head, of {head}")
                self._round, self._thorough = Frontier(), False
                return
            if not self._thorough or self._stopwatch() - began_at > BUSY_S:
                return


def look(tx: Tx, first: int, count: int) -> Found:
    """Compare ``count`` entries after ``first`` with their leaves; ``first`` is a multiple of 256."""
    numbers = range(first // TILE_HASHES, (first + count - 1) // TILE_HASHES + 1) if count else range(0)
    tiles = tx.audit_tiles((0, number) for number in numbers)
    sealed = b"".join(tiles.get((0, number), b"") for number in numbers)
    rows = dict(tx.events_after(first, "", count))
    leaves, wrong = [], []
    for nth in range(count):
        position = first + nth + 1
        event = rows.get(position)
        leaf = sealed[nth * HASH_BYTES : (nth + 1) * HASH_BYTES]
        if event is None:
            wrong.append(f"the event at position {position} was deleted")
        elif leaf_of(position, event) != leaf:
            wrong.append(f"the event at position {position} is not the one that was sealed there")
        leaves.append(leaf)
    if len(wrong) > NAMED_MAX:
        wrong = [*wrong[:NAMED_MAX], f"and {len(wrong) - NAMED_MAX} more after them"]
    return Found(leaves, wrong)
