"""What waits to be sent on one session: all of it merges, so a slow reader costs memory for state, not for history."""

import asyncio
from typing import Any, TypeVar

import grpc

from controlplane.service.agents.messages import ToAgent


class Outgoing:
    """One session's unsent words."""

    def __init__(self) -> None:
        self._next = ToAgent()
        self._ready = asyncio.Event()
        self._said = True  # nothing waits
        self.closed = False
        self.status: grpc.StatusCode | None = None  # how the session ends; None is well
        self.details = ""

    def send(self, said: ToAgent) -> None:
        """Add to the next message; of what is said again before it was sent, only the newest is kept."""
        if self._said:
            # Nothing waits, as nearly always: there is nothing to merge with.
            self._next, self._said = said, False
            self._ready.set()
            return
        waiting = self._next
        waiting.renewals = _newest(waiting.renewals, said.renewals)
        waiting.acknowledged = list(dict.fromkeys((*waiting.acknowledged, *said.acknowledged)))
        waiting.grants = [*waiting.grants, *said.grants]
        waiting.cancels = _newest(waiting.cancels, said.cancels)
        if said.drain_reason is not None:
            waiting.drain_reason, waiting.resume = said.drain_reason, False
        if said.renew_identity is not None:
            waiting.renew_identity = said.renew_identity
        if said.resume:
            waiting.resume, waiting.drain_reason = True, None
        # Of one rollout only the newest word counts: what was taken back before it was sent is not said at all.
        waiting.upgrades = _newest(waiting.upgrades, said.upgrades)
        waiting.shown = said.shown or waiting.shown
        self._ready.set()

    def close(self, status: grpc.StatusCode | None = None, details: str = "") -> None:
        """End the session after what waits; the first to close it says how it ends."""
        if not self.closed:
            self.closed, self.status, self.details = True, status, details
        self._ready.set()

    async def take(self) -> ToAgent | None:
        """Wait for something to say; None when the session is over and everything was said."""
        await self._ready.wait()
        if self._said:
            # Only closing wakes the sender without a word.
            return None
        if not self.closed:
            self._ready.clear()
        said, self._next, self._said = self._next, ToAgent(), True
        return said


Item = TypeVar("Item", bound=tuple[Any, ...])


def _newest(waiting: list[Item], said: list[Item]) -> list[Item]:
    """Join two lists of (attempt id, …), the newest of each attempt alone."""
    return list({item[0]: item for item in (*waiting, *said)}.values())
