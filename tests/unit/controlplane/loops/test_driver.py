"""Running the loops: at once, on a period or a nudge, through errors, until stopped."""

import asyncio
import logging

import pytest

from controlplane.loops.driver import Driver, Loop
from controlplane.service.signals import Signal
from tests.kit.running import WAIT_S, run


class Passes:
    """A loop's work that a test can wait for."""

    def __init__(self, error: Exception | None = None) -> None:
        self.seen = asyncio.Queue[int]()
        self.number = 0
        self.error = error

    async def run(self) -> None:
        self.number += 1
        self.seen.put_nowait(self.number)
        if self.error is not None:
            raise self.error

    async def next(self) -> int:
        async with asyncio.timeout(WAIT_S):
            return await self.seen.get()


def test_a_loop_runs_at_once_then_on_its_period_and_its_health_is_kept() -> None:
    async def body() -> None:
        passes = Passes()
        loop = Loop("reaper", passes.run, 0.001)
        now = iter(range(1000))
        driver = Driver([loop], lambda: float(next(now)))
        driver.start()
        for number in (1, 2, 3):
            assert await passes.next() == number
        await driver.stop()
        assert loop.health.passes >= 2
        assert (loop.health.last_error, loop.health.duration_s) == ("", 1.0)
        assert loop.health.last_run_at is not None

    run(body())


def test_a_nudge_comes_before_the_period() -> None:
    async def body() -> None:
        passes, nudge = Passes(), Signal()
        driver = Driver([Loop("dispatcher", passes.run, 3600.0, nudge)], lambda: 0.0)
        driver.start()
        assert await passes.next() == 1
        # A ring during a pass is not lost either.
        nudge.ring()
        assert await passes.next() == 2
        nudge.ring()
        assert await passes.next() == 3
        await driver.stop()

    run(body())


def test_an_error_is_shown_and_the_next_pass_runs_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    async def body() -> None:
        passes = Passes(KeyError("a bug"))
        loop = Loop("reaper", passes.run, 0.001)
        driver = Driver([loop], lambda: 0.0)
        await driver.once(loop)
        assert loop.health.last_error == "KeyError: 'a bug'"
        driver.start()
        for number in (1, 2, 3):
            assert await passes.next() == number
        passes.error = None
        await passes.next()
        await passes.next()
        await driver.stop()
        assert loop.health.last_error == ""

    with caplog.at_level(logging.ERROR):
        run(body())
    assert "loop reaper failed: KeyError: 'a bug'" in caplog.text
    assert "Traceback" not in caplog.text


def test_stopping_cuts_a_pass_that_hangs_and_stopping_twice_is_fine() -> None:
    async def body() -> None:
        began = asyncio.Event()

        async def hang() -> None:
            began.set()
            await asyncio.Event().wait()

        driver = Driver([Loop("hanging", hang, 1.0), Loop("never", hang, 1.0, Signal())], lambda: 0.0)
        driver.start()
        async with asyncio.timeout(WAIT_S):
            await began.wait()
            await driver.stop()
            await driver.stop()

    run(body())


def test_a_loop_that_ends_no_pass_for_long_is_stuck() -> None:
    async def story() -> None:
        now = [100.0]
        hanging = asyncio.Event()

        async def hang() -> None:
            await hanging.wait()

        async def pass_by() -> None:
            raise OSError("no room")

        driver = Driver([Loop("hanging", hang, 1.0), Loop("failing", pass_by, 5.0)], lambda: now[0])
        driver.start()
        await asyncio.sleep(0)
        now[0] = 161.0
        assert driver.stuck(60.0) == [], "a pass that fails is a pass"
        now[0] = 161.5
        assert driver.stuck(60.0) == ["hanging"]
        hanging.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert driver.stuck(60.0) == []
        await driver.stop()

    asyncio.run(story())
