"""The log stream's end: whatever ends it, and whoever ends us meanwhile, nothing is left that nobody took."""

import asyncio
import contextlib
import gc
from typing import Any

import grpc
import pytest

from agentd.link.logs import LogShipper


class Call:
    """A stream that breaks at a word, or just when its reader is cancelled: then grpc's `read` raises how it ended."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.breaks = asyncio.Event()
        self.broke = asyncio.Event()
        self.cancelled = False

    async def read(self) -> Any:
        self.reads.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self.breaks.wait()
        # Whoever awaits us has its error at the next turn of the loop.
        asyncio.get_running_loop().call_soon(self.broke.set)
        nothing = grpc.aio.Metadata()
        raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, "the control plane went away")

    async def write(self, message: Any) -> None:
        raise AssertionError(f"nothing is followed, and yet there is {message}")

    def cancel(self) -> None:
        self.cancelled = True


@pytest.mark.parametrize("breaks_first", [True, False])
def test_a_session_that_ends_while_its_log_stream_breaks_leaves_no_error_behind(breaks_first: bool) -> None:
    left: list[dict[str, Any]] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: left.append(context))
        call = Call()
        shipping = asyncio.create_task(LogShipper()._ship_over(call))
        if breaks_first:
            call.breaks.set()
            await call.broke.wait()
        else:
            await call.reads.wait()
        # The shipper still waits for something to ship: it has not seen how its reader ended.
        assert not shipping.done()
        shipping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await shipping
        assert call.cancelled
        await call.broke.wait()
        del shipping
        gc.collect()

    asyncio.run(story())
    gc.collect()
    assert left == []


def test_a_log_stream_that_breaks_is_told_to_whoever_ships() -> None:
    async def story() -> None:
        shipper, call = LogShipper(), Call()
        shipping = asyncio.create_task(shipper._ship_over(call))
        call.breaks.set()
        await call.broke.wait()
        shipper._wake.set()
        with pytest.raises(grpc.aio.AioRpcError):
            await shipping

    asyncio.run(story())
