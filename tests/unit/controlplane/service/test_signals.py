"""Wake-ups inside one process."""

from controlplane.service.signals import Signal
from tests.kit.running import run


def test_a_ring_between_two_looks_is_not_lost_and_rings_merge() -> None:
    async def body() -> None:
        signal = Signal()
        with signal.watch() as watch:
            signal.ring()
            signal.ring()
            assert await watch.rung(10.0)
            assert not await watch.rung(0.001)

    run(body())


def test_every_watcher_is_woken_and_none_that_has_left() -> None:
    async def body() -> None:
        signal = Signal()
        with signal.watch() as one:
            with signal.watch() as other:
                pass
            signal.ring()
            assert await one.rung(10.0)
            assert not await other.rung(0.001)

    run(body())
