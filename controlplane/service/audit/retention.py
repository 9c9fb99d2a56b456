"""Lets old history go, in small transactions: answers to requests, attempts and outputs of migrations that ended long
ago, and events, which go to files first.

Nothing of the audit log's tree goes: the leaf hashes stay, so the root is what it was, and an archive file proves
itself by them. Events leave from the front only, up to the first one that is young or belongs to a migration that is
kept whole: what is left still folds to the state (promise C3).
"""

import json
import logging
from collections.abc import Callable
from pathlib import Path

from controlplane import durable
from controlplane.core.audit.text import archive_value, entry_value
from controlplane.core.events import Event
from controlplane.service.audit.log import AUDIT_SUBJECT, AuditLog
from controlplane.service.steps.outputs import Outputs
from controlplane.store.port import Store, Tx

_log = logging.getLogger("haulier.retention")

REQUESTS_KEPT_S = 7 * 86_400.0
REQUESTS_AT_ONCE = 500
MIGRATIONS_AT_ONCE = 20
# A file is worth its name from so many events on; one pass archives no more than the second number.
ARCHIVE_EVENTS_MIN, ARCHIVE_EVENTS_MAX = 1000, 20_000
ROWS_AT_ONCE = 1000


class History:
    """See the module; nothing goes that could not be kept elsewhere."""

    def __init__(
        self,
        store: Store,
        clock: Callable[[], float],
        log: AuditLog,
        outputs: Outputs,
        directory: Path,
        kept_s: float,
        archive_events_min: int = ARCHIVE_EVENTS_MIN,
    ) -> None:
        """``directory`` is where archive files go; history is kept whole for ``kept_s``."""
        self._store = store
        self._clock = clock
        self._audit = log
        self._outputs = outputs
        self._directory = directory
        self._kept_s = kept_s
        self._archive_events_min = archive_events_min

    async def drop_answers(self) -> None:
        """Let answers to requests go that nobody repeats any more. Raises ``StoreFailed``."""
        before = self._clock() - REQUESTS_KEPT_S
        while await self._store.write(lambda tx: tx.drop_requests(before, REQUESTS_AT_ONCE)):
            pass

    async def compact(self) -> None:
        """Let attempts and outputs go of migrations that ended long ago. Raises ``StoreFailed`` or ``OSError``."""
        now = self._clock()
        cutoff = now - self._kept_s
        while ids := await self._store.read(lambda tx: tx.expired_migrations(cutoff, MIGRATIONS_AT_ONCE)):
            for migration_id in ids:
                await self._compact(migration_id, now)

    async def archive(self) -> None:
        """Write old events to a file and drop them, while the audit log is intact. Raises as ``compact``."""
        if not self._audit.troubles:
            await self._drop_archived()
            await self._archive(self._clock() - self._kept_s)

    async def _compact(self, migration_id: str, now: float) -> None:
        attempts = await self._store.read(lambda tx: tx.attempts_of_migration(migration_id))
        await self._store.write(lambda tx: tx.compact_migration(migration_id, now))
        # Only files: one that a crash leaves behind harms nobody.
        await self._outputs.remove([attempt.id for attempt in attempts])

    async def _archive(self, cutoff: float) -> None:
        head = self._audit.head
        first, kept = await self._store.read(lambda tx: (tx.archived_position(), tx.first_kept_position(cutoff)))
        last = min(kept - 1, first + ARCHIVE_EVENTS_MAX, head.size if head else 0)
        if last - first < self._archive_events_min:
            return
        name = f"events-{first + 1:012d}-{last:012d}.jsonl"
        await self._write(self._directory / name, first, last)
        detail = f"{last} in {name}"

        def mark(tx: Tx) -> None:
            tx.mark_archived(last)
            tx.record([Event(self._clock(), "EventsArchived", AUDIT_SUBJECT, detail=detail)])

        await self._store.write(mark)
        await self._drop_archived()
        _log.info("events %d to %d are in %s", first + 1, last, self._directory / name)

    async def _drop_archived(self) -> None:
        """Delete rows that lie in archive files, also those that a kill has left."""
        while await self._store.write(lambda tx: tx.drop_archived(ROWS_AT_ONCE)):
            pass

    async def _write(self, path: Path, first: int, last: int) -> None:
        """Write events to a file, whole and durable under its name; one of an earlier try is replaced."""
        durable.make_directory(path.parent)
        with durable.replacing(path) as file:
            file.write(_line(archive_value(first + 1, last)))
            while first < last:
                limit = min(ROWS_AT_ONCE, last - first)
                rows = await self._store.read(lambda tx, first=first, limit=limit: tx.events_after(first, "", limit))  # type: ignore[misc]
                file.writelines(_line(entry_value(position, event)) for position, event in rows)
                first = rows[-1].position


def _line(value: object) -> bytes:
    return (json.dumps(value) + "\n").encode("utf-8")
