"""Lets old history go: answers to requests, attempts and outputs of ended migrations, and events, which go to files."""

from controlplane.service.audit.retention import History


class HistoryKeeper:
    """One pass lets go whatever is old enough by now."""

    def __init__(self, history: History) -> None:
        self._history = history

    async def run(self) -> None:
        """Make one pass. Raises ``StoreFailed`` or ``OSError``."""
        await self._history.drop_answers()
        await self._history.compact()
        await self._history.archive()
