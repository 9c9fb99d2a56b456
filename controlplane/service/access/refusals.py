"""Refused calls as events: who tried what, and why not. However many come, they cost a bounded number of events."""

from collections.abc import Callable
from dataclasses import dataclass

from controlplane.core.events import Event
from controlplane.service.agents.sessions import Sessions
from controlplane.store.port import Store, StoreFailed

WINDOW_S = 60.0
# Callers that are told apart within a window; beyond it they are counted together.
CALLERS_MAX = 200


@dataclass(slots=True)
class _Count:
    since: float
    untold: int = 0


class Refusals:
    """``note`` never waits; what it takes note of becomes an event soon after."""

    def __init__(self, store: Store, clock: Callable[[], float], sessions: Sessions) -> None:
        self._store = store
        self._clock = clock
        self._sessions = sessions
        self._counts: dict[tuple[str, str], _Count] = {}

    def note(self, who: str, method: str, why: str) -> None:
        """Take note of a refused call. ``who`` says name, role and address, as far as they are known."""
        now = self._clock()
        key = (who, method)
        if key not in self._counts and len(self._counts) >= CALLERS_MAX:
            self._counts = {k: counts for k, counts in self._counts.items() if now - counts.since < WINDOW_S}
            if len(self._counts) >= CALLERS_MAX:
                key = ("many callers", "several methods")
        counts = self._counts.get(key)
        if counts is not None and now - counts.since < WINDOW_S:
            counts.untold += 1
            return
        before = f"; {counts.untold} more since the last time" if counts is not None and counts.untold else ""
        self._counts[key] = _Count(now)
        self._sessions.background.spawn(
            self._keep(Event(now, "AccessRefused", key[0], detail=f"{key[1]}: {why}{before}"))
        )

    async def _keep(self, event: Event) -> None:
        try:
            await self._store.write(lambda tx: tx.record([event]))
        except StoreFailed:
            # The call was refused all the same, and a full disk has its own ways to be noticed.
            return
