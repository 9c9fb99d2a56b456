"""What happened to releases, for the event log."""

from collections.abc import Callable, Sequence

from controlplane.core.events import Event, asked_by
from controlplane.store.port import Store, Tx

# Releases named in one event; a repository may hold many more.
NAMED_MAX = 10


class ReleaseLog:
    """Writes events about releases."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock

    async def published(self, targets: int, timestamp: int, releases: Sequence[str], by: str) -> None:
        """Keep that metadata of these versions is served now, naming the newest releases. Raises StoreFailed."""
        named = ", ".join(releases[:NAMED_MAX]) + (", …" if len(releases) > NAMED_MAX else "")
        detail = asked_by(by, f"timestamp {timestamp}: {named or 'none'}")
        event = Event(self._clock(), "ReleasesPublished", f"targets/{targets}", detail=detail)

        def keep(tx: Tx) -> None:
            tx.record([event])

        await self._store.write(keep)
