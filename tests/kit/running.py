"""Running coroutines from plain tests: always with a bound, always on a loop of their own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

WAIT_S = 20.0
LOOK_S = 0.005


def run(work: Coroutine[Any, Any, T], bound_s: float = 60.0) -> T:
    """Run ``work`` to its end, at most ``bound_s`` seconds."""

    async def bounded() -> T:
        async with asyncio.timeout(bound_s):
            return await work

    return asyncio.run(bounded())


async def until(holds: Callable[[], bool], what: str, bound_s: float = WAIT_S) -> None:
    """Wait until ``holds``, which other coroutines make true; fail with ``what`` after ``bound_s`` seconds."""
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + bound_s
    while not holds():
        assert loop.time() < ends_at, f"{what} did not happen within {bound_s:g} s"
        await asyncio.sleep(LOOK_S)


async def soon(stream: AsyncIterator[T], bound_s: float = WAIT_S) -> T:
    """Return the next item of ``stream``, at most ``bound_s`` seconds later."""
    async with asyncio.timeout(bound_s):
        return await anext(stream)
