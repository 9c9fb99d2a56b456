"""Wake-ups inside one control plane: nobody polls for what this process itself did."""

import asyncio


class Signal:
    """Something happened; whoever waits looks again. Wake-ups merge, and none is lost between two looks."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Event] = set()

    def ring(self) -> None:
        """Wake everyone who watches."""
        for waiter in self._waiters:
            waiter.set()

    def watch(self) -> "Watch":
        """Begin to watch; rings from now on are not missed."""
        waiter = asyncio.Event()
        self._waiters.add(waiter)
        return Watch(self, waiter)

    def leave(self, waiter: asyncio.Event) -> None:
        """Stop watching."""
        self._waiters.discard(waiter)


class Watch:
    """One watcher's side of a signal; use it as a context manager."""

    def __init__(self, signal: Signal, waiter: asyncio.Event) -> None:
        self._signal = signal
        self._waiter = waiter

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *exc: object) -> None:
        self._signal.leave(self._waiter)

    async def rung(self, timeout_s: float) -> bool:
        """Wait for a ring since the last look, at most ``timeout_s``; tell whether there was one."""
        try:
            await asyncio.wait_for(self._waiter.wait(), timeout_s)
        except TimeoutError:
            return False
        self._waiter.clear()
        return True
