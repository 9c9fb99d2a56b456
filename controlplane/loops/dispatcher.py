"""Offers ready steps to agents with room: finds those whose backoff has ended or whose budget came free."""

from collections.abc import Callable

from controlplane.service.agents.sessions import Sessions
from controlplane.store.port import Store, Tx

# Counting further would not change who is asked: no class has more matching agents with more slots than this.
COUNT_MAX = 1000


class Dispatcher:
    """One pass offers every step that is ready by now."""

    def __init__(self, store: Store, clock: Callable[[], float], sessions: Sessions) -> None:
        self._store = store
        self._clock = clock
        self._sessions = sessions

    async def run(self) -> None:
        """Make one pass."""
        now = self._clock()
        names = self._sessions.offers.wanted_classes()

        def count(tx: Tx) -> dict[str, int]:
            return {name: tx.ready_count(name, now, COUNT_MAX) for name in names}

        if names:
            self._sessions.offers.offer(await self._store.read(count))
