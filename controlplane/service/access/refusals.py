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
class _Tally:
    since: float
    untold: int = 0


class Refusals:
    """``note`` never waits; what it takes note of becomes an event soon after."""

    def __init__(self, store: Store, clock: Callable[[], float], fleet: Sessions) -> None:
        self._store = store
        self._clock = clock
        self._fleet = fleet
        self._tallies: dict[tuple[str, str], _Tally] = {}

    def note(self, who: str, method: str, why: str) -> None:
        """Take note of a refused call. ``who`` says name, role and address, as far as they are known."""
        now = self._clock()
        key = (who, method)
        if key not in self._tallies and len(self._tallies) >= CALLERS_MAX:
            self._tallies = {k: tally for k, tally in self._tallies.items() if now - tally.since < WINDOW_S}
            if len(self._tallies) >= CALLERS_MAX:
                key = ("many callers", "several methods")
        tally = self._tallies.get(key)
        if tally is not None and now - tally.since < WINDOW_S:
            tally.untold += 1
            return
        before = f"; {tally.untold} more since the last time" if tally is not None and tally.untold else ""
        self._tallies[key] = _Tally(now)
        self._fleet.background.spawn(self._keep(Event(now, "AccessRefused", key[0], detail=f"{key[1]}: {why}{before}")))

    async def _keep(self, event: Event) -> None:
        try:
            await self._store.write(lambda tx: tx.record([event]))
        except StoreFailed:
            # The call was refused all the same, and a full disk has its own ways to be noticed.
            return
