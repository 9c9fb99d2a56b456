"""Whether the store can be written to: one small durable write, which shows a full disk before anybody's work does."""

from collections.abc import Callable

from controlplane.store.port import Store


class StoreProof:
    """How the last such write went."""

    def __init__(self, store: Store, clock: Callable[[], float], stopwatch: Callable[[], float]) -> None:
        """``stopwatch`` counts seconds, for how long the commit takes."""
        self._store = store
        self._clock = clock
        self._stopwatch = stopwatch
        self.failure = ""  # why it failed; empty: it did not
        self.commit_s = 0.0

    async def prove(self) -> None:
        """Write once. Raises ``StoreFailed``, which the loops' driver shows."""
        began_at = self._stopwatch()
        try:
            await self._store.write(lambda tx: tx.prove_writable(self._clock()))
        # Whatever it is, it is why nothing can be kept; the driver logs it.
        except Exception as error:
            self.failure = str(error)
            raise
        self.failure, self.commit_s = "", self._stopwatch() - began_at
