"""What waits to be sent on one session: all of it merges, so a slow reader costs memory for state, not for history."""

import asyncio

from controlplane.service.fleet import ToAgent


class Outgoing:
    """One session's unsent words."""

    def __init__(self) -> None:
        self._next = ToAgent()
        self._ready = asyncio.Event()
        self.closed = False

    def send(self, said: ToAgent) -> None:
        """Add to the next message."""
        waiting = self._next
        waiting.renewals += said.renewals
        waiting.acknowledged += said.acknowledged
        waiting.grants += said.grants
        waiting.cancels += said.cancels
        if said.drain_reason is not None:
            waiting.drain_reason, waiting.resume = said.drain_reason, False
        if said.resume:
            waiting.resume, waiting.drain_reason = True, None
        self._ready.set()

    def close(self) -> None:
        """Wake the sender for the last time."""
        self.closed = True
        self._ready.set()

    async def take(self) -> ToAgent | None:
        """Wait for something to say; None when the session is over."""
        await self._ready.wait()
        if self.closed:
            return None
        self._ready.clear()
        said, self._next = self._next, ToAgent()
        return said
