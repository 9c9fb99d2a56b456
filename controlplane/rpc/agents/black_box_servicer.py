"""The servicer for black boxes: agents bring them, operators look at them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from haulier.v1 import black_box_pb2 as pb
from haulier.v1 import black_box_pb2_grpc

from controlplane.rpc.calls.callers import agent_of
from controlplane.service.errors import Precondition
from controlplane.service.rollouts.black_boxes import BlackBoxes

BYTES_MAX = 512 * 1024
PIECE_BYTES_MAX = 64 * 1024
# An agent that says nothing for so long is gone.
AGENT_S_MAX = 30.0
# Black boxes on their way at once: what they take of memory is bounded (promise C5).
REPORTS_MAX = 8


class BlackBoxServicer(black_box_pb2_grpc.BlackBoxServiceServicer):
    """See ``haulier.v1.BlackBoxService``."""

    def __init__(self, boxes: BlackBoxes) -> None:
        self._boxes = boxes
        self._reports = asyncio.Semaphore(REPORTS_MAX)

    async def ReportBlackBox(  # noqa: N802
        self, requests: AsyncIterator[pb.ReportBlackBoxRequest], context: Any
    ) -> AsyncIterator[pb.ReportBlackBoxResponse]:
        """Store a black box as the agent's own, whatever it says in it."""
        identity = agent_of(context)
        assert identity is not None, "the interceptor lets only agents through"
        request_id, data = "", bytearray()
        async with self._reports:
            try:
                async with asyncio.timeout(AGENT_S_MAX):
                    async for piece in requests:
                        request_id = request_id or piece.request_id[:200]
                        data += piece.data
                        if len(data) > BYTES_MAX:
                            raise Precondition(f"a black box has at most {BYTES_MAX} bytes")
            except TimeoutError:
                raise Precondition(f"a black box must come within {AGENT_S_MAX:g} s") from None
            if not request_id or not data:
                raise Precondition("a black box needs the id of its request, and bytes")
            await self._boxes.keep(identity.id, request_id, bytes(data))
        yield pb.ReportBlackBoxResponse(stored_bytes=len(data))

    async def GetBlackBox(  # noqa: N802
        self, request: pb.GetBlackBoxRequest, context: Any
    ) -> AsyncIterator[pb.GetBlackBoxResponse]:
        """Send the newest black box of an agent."""
        data = await self._boxes.newest(request.agent)
        for offset in range(0, len(data), PIECE_BYTES_MAX):
            yield pb.GetBlackBoxResponse(data=data[offset : offset + PIECE_BYTES_MAX])
