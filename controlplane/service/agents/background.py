"""Work that nobody waits for, or that must come to its end although whoever waited has gone."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """Tasks of one control plane: each is kept until it ends."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return not self._tasks

    async def idle(self) -> None:
        """Wait until nothing is under way any more. Raises what a task raised."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something in the background; its reference is kept until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def unbroken(self, work: Coroutine[Any, Any, T]) -> T:
        """Do ``work`` to its end, also when whoever asked for it has gone meanwhile.

        For a write and what memory learns from it: a call that is cancelled in between, because its stream broke while
        the disk was slow, would leave a lease in the store that nobody here knows, and so nobody ever ends.
        """
        return await asyncio.shield(self.begin(work))

    def begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin work that goes on to its end, whoever waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Whoever still waits is told; a failure that nobody waits for any more changed nothing.
            task.exception()
