"""Moves on whatever the end of a step could not move at once, for instance because the process died in between."""

from collections import Counter
from collections.abc import Callable

from controlplane.service.agents.sessions import Sessions
from controlplane.service.steps.advancing import advance
from controlplane.store.port import Store


class WorkflowAdvancer:
    """One pass looks at every migration under way."""

    def __init__(self, store: Store, clock: Callable[[], float], sessions: Sessions) -> None:
        self._store = store
        self._clock = clock
        self._sessions = sessions

    async def run(self) -> None:
        """Make one pass: each open migration in a transaction of its own."""
        for migration_id in await self._store.read(lambda tx: tx.movable_migration_ids()):
            now = self._clock()
            readied: Counter[str] = await self._store.write(
                lambda tx, migration_id=migration_id, now=now: advance(tx, migration_id, now)  # type: ignore[misc]
            )
            if readied:
                self._sessions.offers.offer(readied)
                self._sessions.changed.ring()
