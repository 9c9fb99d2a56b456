"""Compares the rows of the event log with the tree that was made of them, again and again.

Right after the start, and whenever another program has written to the store, it goes through everything as fast as a
part of one core allows; otherwise it goes round slowly, for whoever changes the file past SQLite.
"""

from collections.abc import Callable
from typing import NamedTuple

from controlplane.core.audit.leaves import leaf_of
from controlplane.core.audit.merkle import Frontier
from controlplane.core.audit.merkle_tiles import TILE_HASHES
from controlplane.service.audit.entries import leaves
from controlplane.service.audit.log import AuditLog
from controlplane.store.port import Store, Tx

ROWS_AT_ONCE = 8 * TILE_HASHES
ROWS_WHEN_QUIET = TILE_HASHES
# Of one second, while a thorough check is due.
BUSY_S = 0.25
NAMED_MAX = 5


class Found(NamedTuple):
    """What a look at some rows found."""

    leaves: list[bytes]  # as the tree has them
    wrong: list[str]


class LogCheck:
    """See the module; ``go_on`` is called about once a second."""

    def __init__(self, store: Store, log: AuditLog, stopwatch: Callable[[], float]) -> None:
        """``stopwatch`` counts seconds, for the share of a core that a check may take."""
        self._store = store
        self._log = log
        self._stopwatch = stopwatch
        self._round = Frontier()
        self._thorough = False
        self.checked = 0  # entries since the start

    async def go_on(self) -> None:
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
    """Compare ``count`` entries after ``first`` with their leaves; of archived ones only the leaf is here."""
    sealed = leaves(tx, first, count)
    archived = tx.archived_position()
    rows = dict(tx.events_after(max(first, archived), "", count))
    wrong = []
    if archived and not tx.newest_archiving().startswith(f"{archived} in "):
        wrong.append(f"events up to {archived} are gone, and the log does not say that they were archived")
    for position, leaf in enumerate(sealed, first + 1):
        event = rows.get(position)
        if position <= archived:
            continue
        if event is None:
            wrong.append(f"the event at position {position} was deleted")
        elif leaf_of(position, event) != leaf:
            wrong.append(f"the event at position {position} is not the one that was sealed there")
    if len(wrong) > NAMED_MAX:
        wrong = [*wrong[:NAMED_MAX], f"and {len(wrong) - NAMED_MAX} more after them"]
    return Found(sealed, wrong)
