"""Brings the black box of a failed upgrade to the control plane."""

import asyncio
from collections.abc import Iterator

import grpc
from haulier.v1 import black_box_pb2 as pb
from haulier.v1 import black_box_pb2_grpc

from agentd.link.client import channel_of
from agentd.link.identity_files import Enrolment, NotJoined

PIECE_BYTES = 32 * 1024
WAIT_S = 30.0


class NotReported(Exception):
    """The control plane does not have it; says why. Later it may."""


async def report(enrolment: Enrolment, request_id: str, data: bytes) -> None:
    """Bring a black box, over a connection of its own. Raises NotReported."""

    def pieces() -> Iterator[pb.ReportBlackBoxRequest]:
        for offset in range(0, len(data), PIECE_BYTES):
            yield pb.ReportBlackBoxRequest(request_id=request_id, data=data[offset : offset + PIECE_BYTES])

    try:
        async with asyncio.timeout(2 * WAIT_S), channel_of(enrolment) as channel:
            stub = black_box_pb2_grpc.BlackBoxServiceStub(channel)
            stored = [answer async for answer in stub.ReportBlackBox(pieces(), timeout=WAIT_S)]
    except grpc.aio.AioRpcError as error:
        raise NotReported(f"{error.code().name.lower()}: {' '.join((error.details() or '').split())[:200]}") from None
    except (TimeoutError, NotJoined) as error:
        raise NotReported(str(error) or "no answer") from None
    if [answer.stored_bytes for answer in stored] != [len(data)]:
        raise NotReported("the control plane does not say that all of it is stored")
