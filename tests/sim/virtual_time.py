"""An event loop without a clock: when nothing is ready, time jumps to the next timer.

Single-threaded and without input or output, so that a history is a function of its seed.
"""

import asyncio
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any


class Process:
    """Owner of tasks: whatever they start belongs to it too, and ends with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        # A dictionary keeps the order of creation; a set of tasks is ordered by address.
        self.tasks: dict[asyncio.Task[Any], None] = {}

    def ended(self, task: asyncio.Task[Any]) -> None:
        """A task is over."""
        self.tasks.pop(task, None)

    def kill(self) -> None:
        """Cut every task; they run no further than their own clean-up, whose effects nobody sees."""
        for task in list(self.tasks):
            task.cancel()


_owner: contextvars.ContextVar[Process | None] = contextvars.ContextVar("owner", default=None)


class VirtualLoop:
    """Runs callbacks in the order in which they became due. Time is float seconds from 0.

    It has the methods of a loop that tasks, futures and timers use, and none for input or output.
    """

    def __init__(self) -> None:
        # What asyncio's types call a loop has dozens of methods that nothing here needs.
        self._self: Any = self
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self._now = 0.0
        self.stopped = False
        self.problems: list[dict[str, Any]] = []

    # What asyncio asks of a loop.

    def time(self) -> float:
        """The virtual instant."""
        return self._now

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """Run at this instant, after what is ready already."""
        handle = asyncio.Handle(callback, args, self._self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Run at an instant."""
        handle = asyncio.TimerHandle(when, callback, args, self._self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """Run after some seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """A cancelled timer is passed over when it comes up."""

    def create_future(self) -> "asyncio.Future[Any]":
        """A future of this loop."""
        return asyncio.Future(loop=self._self)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: contextvars.Context | None = None
    ) -> "asyncio.Task[Any]":
        """A task of whoever runs now."""
        task = asyncio.Task(coro, loop=self._self, name=name, context=context)
        owner = _owner.get()
        if owner is not None:
            owner.tasks[task] = None
            task.add_done_callback(owner.ended)
        return task

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """As long as a history lasts."""
        return True

    def is_closed(self) -> bool:
        """Never."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody caught: it is a defect of the product or of the simulator."""
        self.problems.append(context)

    # What a history asks.

    def spawn(self, owner: Process, coro: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        """Start a task that belongs to ``owner``."""
        context = contextvars.copy_context()
        context.run(_owner.set, owner)
        return context.run(self.create_task, coro, name=name)

    def run_until(self, done: Callable[[], bool], limit_at: float) -> bool:
        """Run until ``done`` or ``limit_at``; tell whether it was done. ``done`` is asked whenever time would jump."""
        ready, timers = self._ready, self._timers
        while not self.stopped:
            while ready:
                handle = ready.popleft()
                if not handle.cancelled():
                    handle._run()
                    if self.stopped:
                        return False
            if done():
                return True
            while timers and timers[0][2].cancelled():
                heapq.heappop(timers)
            if not timers or timers[0][0] > limit_at:
                self._now = max(self._now, limit_at)
                return False
            when, _, handle = heapq.heappop(timers)
            self._now = max(self._now, when)
            ready.append(handle)
        return False


@contextmanager
def running(loop: VirtualLoop) -> Iterator[VirtualLoop]:
    """Make ``loop`` the one that asyncio finds."""
    asyncio.events._set_running_loop(loop._self)
    try:
        yield loop
    finally:
        asyncio.events._set_running_loop(None)
