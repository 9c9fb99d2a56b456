"""Runs the loops: every pass is timed, an error is kept for `haulier status` and the next pass runs all the same."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from controlplane.service.health.loop_health import LoopHealth
from controlplane.service.signals import Signal

_log = logging.getLogger("haulier.loops")


class Loop:
    """One loop: what it does, how often, and how it is doing."""

    def __init__(
        self, name: str, run: Callable[[], Awaitable[None]], period_s: float, nudge: Signal | None = None
    ) -> None:
        self.run = run
        self.period_s = period_s
        self.nudge = nudge
        self.health = LoopHealth(name)


class Driver:
    """Keeps loops going until it is stopped."""

    def __init__(self, loops: Sequence[Loop], clock: Callable[[], float]) -> None:
        self.loops = list(loops)
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []
        self._started_at = 0.0

    def start(self) -> None:
        """Start every loop with a pass at once."""
        self._started_at = self._clock()
        self._tasks = [asyncio.create_task(self._keep(loop), name=loop.health.name) for loop in self.loops]

    async def stop(self) -> None:
        """Stop every loop; a pass under way is cut, which it must be able to bear."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stuck(self, after_s: float) -> list[str]:
        """Return the names of loops that finished no pass, good or bad, for ``after_s`` longer than their period."""
        now = self._clock()
        return [
            loop.health.name
            for loop in self.loops
            if now - (loop.health.last_run_at or self._started_at) > loop.period_s + after_s
        ]

    async def once(self, loop: Loop) -> None:
        """Run one pass and note how it went."""
        health = loop.health
        began_at = self._clock()
        try:
            await loop.run()
            health.last_error = ""
        # One failing pass must not end the loop: the error is shown, and the next pass looks again.
        except Exception as error:  # noqa: BLE001
            health.last_error = f"{type(error).__name__}: {error}"
            _log.error("loop %s failed: %s", health.name, health.last_error)
        health.passes += 1
        health.last_run_at = self._clock()
        health.duration_s = health.last_run_at - began_at

    async def _keep(self, loop: Loop) -> None:
        if loop.nudge is None:
            while True:
                await self.once(loop)
                await asyncio.sleep(loop.period_s)
        with loop.nudge.watch() as watch:
            while True:
                await self.once(loop)
                await watch.rung(loop.period_s)
