"""Lets values of rows go that results showed for a time, once that is over."""

from collections.abc import Callable

from controlplane.service.steps.shown_values import AT_ONCE, forget
from controlplane.store.port import Store


class ValueKeeper:
    """One pass removes the values whose time is over by now."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        """Make one pass. Raises ``StoreFailed``."""
        now = self._clock()
        while await self._store.write(lambda tx: forget(tx, now)) == AT_ONCE:
            pass
