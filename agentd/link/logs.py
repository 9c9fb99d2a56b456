"""Ships what running attempts print, on a stream of its own, within a byte budget.

An attempt's output is a file, so nothing here is a queue in memory: what is behind by more than the budget
loses its
middle, and the next piece says how much. The end is never lost.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import agent_pb2_grpc

log = logging.getLogger(__name__)

PIECE_BYTES_MAX = 32 * 1024
# Behind by more than this, the middle is dropped and this much of the end is kept.
BEHIND_BYTES_MAX = 256 * 1024
END_BYTES_KEPT = 128 * 1024
# All attempts together, per look.
_LOOK_BYTES_MAX = 512 * 1024
_LOOK_EVERY_S = 1.0
_REOPEN_AFTER_S = 1.0


@dataclass(slots=True)
class _Followed:
    path: Path
    next_offset: int = 0
    dropped_bytes: int = 0
    stored_offset: int = 0
    ended: bool = False
    last_sent: bool = False
    refused: bool = False
    finished: asyncio.Event = field(default_factory=asyncio.Event)


class LogShipper:
    """Output of one agent's attempts. Every method is called on one loop."""

    def __init__(self) -> None:
        self._followed: dict[str, _Followed] = {}
        self._wake = asyncio.Event()

    def follow(self, attempt_id: str, path: Path) -> None:
        """Begin to ship what is written to `path`. Harmless when it is followed already."""
        self._followed.setdefault(attempt_id, _Followed(path))

    def end(self, attempt_id: str) -> None:
        """Nothing more will be written: the last piece may leave."""
        followed = self._followed.get(attempt_id)
        if followed is not None:
            followed.ended = True
            if _size(followed.path) == 0:
                followed.finished.set()
            self._wake.set()

    async def left(self, attempt_id: str, wait_s: float) -> None:
        """Return when the output of an ended attempt is stored elsewhere, or after `wait_s`."""
        followed = self._followed.get(attempt_id)
        if followed is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(followed.finished.wait(), wait_s)
            self._followed.pop(attempt_id, None)

    async def ship(self, channel: grpc.aio.Channel) -> None:
        """Ship over `channel` until cancelled; what was not stored is sent again over the next stream."""
        stub = agent_pb2_grpc.AgentServiceStub(channel)
        while True:
            for followed in self._followed.values():
                followed.next_offset, followed.last_sent = followed.stored_offset, False
            try:
                await self._ship_over(stub.Logs())
            except grpc.aio.AioRpcError as error:
                log.info("the log stream broke: %s %s", error.code().name.lower(), error.details())
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    return
                self._give_up_named_in(error.details() or "")
            await asyncio.sleep(_REOPEN_AFTER_S)

    async def _ship_over(self, call: Any) -> None:
        reading = asyncio.create_task(self._read(call))
        try:
            while not reading.done():
                with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                    # A write that fails says less than the reader, which is about to end as well.
                    await self._look(call)
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), _LOOK_EVERY_S)
            await reading
        finally:
            reading.cancel()
            call.cancel()
            # Whoever cancels us between its end and our look must not leave an error that nobody took.
            await asyncio.gather(reading, return_exceptions=True)

    def _give_up_named_in(self, details: str) -> None:
        """The control plane refuses the output of an attempt that it does not know as ours: nothing is left
        to say."""
        for attempt_id, followed in self._followed.items():
            if attempt_id in details:
                followed.refused = True
                followed.finished.set()

    async def _read(self, call: Any) -> None:
        while (stored := await call.read()) is not grpc.aio.EOF:
            followed = self._followed.get(stored.attempt_id)
            if followed is None:
                continue
            followed.stored_offset = stored.stored_offset
            followed.next_offset = max(followed.next_offset, stored.stored_offset)
            if followed.last_sent and stored.stored_offset >= _size(followed.path):
                followed.finished.set()

    async def _look(self, call: Any) -> None:
        budget_bytes = _LOOK_BYTES_MAX
        for attempt_id, followed in list(self._followed.items()):
            while budget_bytes > 0 and not (followed.refused or followed.finished.is_set()):
                piece = await asyncio.to_thread(_next_piece, attempt_id, followed)
                if piece is None:
                    break
                budget_bytes -= len(piece.data)
                await call.write(piece)


def _next_piece(attempt_id: str, followed: _Followed) -> pb.LogsRequest | None:
    """The next piece of an attempt's output, or None when there is nothing to say."""
    size = _size(followed.path)
    if followed.next_offset >= size and (not followed.ended or followed.last_sent or size == 0):
        return None
    behind_bytes = size - followed.next_offset
    if behind_bytes > BEHIND_BYTES_MAX and followed.next_offset > 0:
        # The first piece leaves whole: how an attempt began is worth as much as how it ended.
        skipped_bytes = behind_bytes - END_BYTES_KEPT
        followed.next_offset += skipped_bytes
        followed.dropped_bytes += skipped_bytes
    with followed.path.open("rb") as file:
        file.seek(followed.next_offset)
        data = file.read(PIECE_BYTES_MAX)
    followed.last_sent = followed.ended and followed.next_offset + len(data) >= size
    piece = pb.LogsRequest(
        attempt_id=attempt_id,
        offset=followed.next_offset,
        data=data,
        dropped_bytes=followed.dropped_bytes,
        last=followed.last_sent,
    )
    followed.next_offset += len(data)
    followed.dropped_bytes = 0
    return piece


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
