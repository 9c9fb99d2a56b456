"""The floods. Each is a coroutine that misbehaves until it is done and returns how much it did.

``python -m tests.floods.attacks NAME SETTING``: SETTING is a JSON object with the addresses, an identity and a count;
prints ``{"sent": n, "refused": m}`` where refused are those that the other side closed, reset or answered with an
error.
"""

import asyncio
import contextlib
import itertools
import json
import os
import ssl
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import uvloop
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import agent_pb2_grpc

from tests.floods import fetchers, http2

SESSION = "/haulier.v1.AgentService/Session"
ENROLL = "/haulier.v1.AgentService/Enroll"
DIALLED_AT_ONCE = 64
# As many streams as the control plane allows on one connection: what is beyond is refused before its message is read.
IN_FLIGHT = 16
CONNECTIONS = 8
HUGE_BYTES = 64 * 1024 * 1024
DRIP_S = 0.5


@dataclass(frozen=True, slots=True)
class Setting:
    """Where to attack, with what, how often. ``lasting_s``: how long idle and slow ones stay."""

    agents: str
    public: str
    identity: str
    count: int
    lasting_s: float = 10.0


@dataclass(slots=True)
class Done:
    """What a flood did."""

    sent: int = 0
    refused: int = 0


def told_in(identity: Path) -> dict[str, str]:
    """What an identity's file tells: key, certificate, authority."""
    told: dict[str, str] = json.loads(identity.read_text())
    return told


def mutual_tls(identity: Path) -> ssl.SSLContext:
    """A context that shows an agent's certificate and offers HTTP/2."""
    told = told_in(identity)
    context = ssl.create_default_context(cadata=told["ca"])
    context.set_alpn_protocols(["h2"])
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
        pair.write(told["key"] + told["certificate"])
        pair.flush()
        context.load_cert_chain(pair.name)
    return context


async def idle(setting: Setting, done: Done) -> None:
    """Connections that never ask anything: a third says nothing, a third stops after TLS, a third after hello."""
    tls = mutual_tls(Path(setting.identity))
    limit = asyncio.Semaphore(DIALLED_AT_ONCE)

    async def one(number: int) -> http2.Connection | None:
        async with limit:
            done.sent += 1
            try:
                connection = await http2.Connection.dial(setting.agents, None if number % 3 == 0 else tls)
            except (OSError, ssl.SSLError, TimeoutError):
                done.refused += 1
                return None
            if number % 3 == 2:
                connection.greet()
            return connection

    opened = await asyncio.gather(*(one(number) for number in range(setting.count)))
    await asyncio.sleep(setting.lasting_s)
    for connection in opened:
        if connection is not None:
            done.refused += connection.writer.is_closing()
            connection.close()


async def slow(setting: Setting, done: Done) -> None:
    """Senders that drip: a TLS hello, an HTTP/2 preface, or a message of one MiB, byte by byte."""
    tls = mutual_tls(Path(setting.identity))
    until_at = time.monotonic() + setting.lasting_s
    record = b"\x16\x03\x01\x02\x00" + bytes(512)  # the beginning of a TLS hello
    call = http2.header_block(SESSION, setting.agents)

    async def one(number: int) -> None:
        done.sent += 1
        try:
            connection = await http2.Connection.dial(setting.agents, None if number % 3 == 0 else tls)
        except (OSError, ssl.SSLError, TimeoutError):
            done.refused += 1
            return
        drips = record if number % 3 == 0 else http2.PREFACE
        if number % 3 == 2:
            connection.greet()
            connection.writer.write(http2.frame(http2.HEADERS, http2.END_HEADERS, 1, call))
            connection.writer.write(http2.frame(http2.DATA, 0, 1, b"\x00\x00\x10\x00\x00"))
            drips = b"".join(http2.frame(http2.DATA, 0, 1, b"x") for _ in range(64))
        for first in range(0, len(drips), 10 if number % 3 == 2 else 1):
            if time.monotonic() > until_at or connection.writer.is_closing():
                break
            connection.writer.write(drips[first : first + (10 if number % 3 == 2 else 1)])
            await asyncio.sleep(DRIP_S)
        done.refused += connection.writer.is_closing()
        connection.close()

    await asyncio.gather(*(one(number) for number in range(setting.count)))


async def open_and_cancel(setting: Setting, done: Done) -> None:
    """Streams that are opened and reset at once, as fast as the other side reads ("rapid reset")."""
    tls = mutual_tls(Path(setting.identity))
    call = http2.header_block(SESSION, setting.agents)
    # A header block is the same each time; only the number of its stream changes.
    while done.sent < setting.count:
        try:
            connection = await http2.Connection.dial(setting.agents, tls)
        except (OSError, ssl.SSLError, TimeoutError):
            done.refused += 1
            continue
        connection.greet()
        listening = asyncio.create_task(_listen(connection, done))
        try:
            for stream in connection.streams(10_000):
                connection.writer.write(
                    http2.frame(http2.HEADERS, http2.END_HEADERS, stream, call)
                    + http2.frame(http2.RST_STREAM, 0, stream, http2.CANCEL)
                )
                done.sent += 1
                if stream % 100 == 1:
                    await connection.writer.drain()
                if listening.done() or done.sent >= setting.count:
                    break
            # What was only buffered here has harmed nobody: wait until the other side has read it all.
            connection.writer.write(http2.frame(http2.PING, 0, 0, bytes(8)))
            await listening
        except (OSError, ssl.SSLError):
            done.refused += 1
        finally:
            listening.cancel()
            connection.close()


async def _listen(connection: http2.Connection, done: Done) -> None:
    """Count what is refused until the other side says goodbye or answers our ping."""
    while (arrived := await connection.next_frame()) is not None:
        kind, flags, _ = arrived
        done.refused += kind in (http2.RST_STREAM, http2.GOAWAY)
        if kind == http2.GOAWAY or (kind == http2.PING and flags & http2.ACK):
            return


async def malformed(setting: Setting, done: Done) -> None:
    """Messages that are no messages: random bytes as a session's first word, many calls at a time."""
    tls = mutual_tls(Path(setting.identity))
    call = http2.header_block(SESSION, setting.agents)
    # No tag of these bytes is one of ours, and every length lies.
    bodies = itertools.cycle(http2.message(b"\xff" + os.urandom(size)) for size in (1, 7, 64, 300, 1000))

    async def one() -> None:
        while done.sent < setting.count:
            try:
                connection = await http2.Connection.dial(setting.agents, tls)
            except (OSError, ssl.SSLError, TimeoutError):
                continue
            connection.greet()
            await _pump(connection, call, lambda: next(bodies), setting.count, done)
            connection.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))


async def _pump(connection: http2.Connection, call: bytes, body: Callable[[], bytes], count: int, done: Done) -> None:
    """Keep calls in flight on one connection until ``count`` were sent or it breaks."""
    open_streams = 0
    for stream in connection.streams(500_000):
        if done.sent >= count:
            break
        connection.writer.write(
            http2.frame(http2.HEADERS, http2.END_HEADERS, stream, call)
            + http2.frame(http2.DATA, http2.END_STREAM, stream, body())
        )
        done.sent += 1
        open_streams += 1
        while open_streams >= IN_FLIGHT:
            arrived = await connection.next_frame()
            if arrived is None or arrived[0] == http2.GOAWAY:
                return
            kind, flags, _ = arrived
            # Trailers end a call; so does a reset.
            if (kind == http2.HEADERS and flags & http2.END_STREAM) or kind == http2.RST_STREAM:
                open_streams -= 1
                done.refused += 1


async def huge(setting: Setting, done: Done) -> None:
    """Messages of 64 MiB, to both listeners."""
    told = told_in(Path(setting.identity))
    mutual = grpc.ssl_channel_credentials(told["ca"].encode(), told["key"].encode(), told["certificate"].encode())
    options = (("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1))
    padding = "x" * HUGE_BYTES
    async with (
        grpc.aio.secure_channel(setting.agents, mutual, options=options) as agents,
        grpc.aio.secure_channel(
            setting.public, grpc.ssl_channel_credentials(told["ca"].encode()), options=options
        ) as listener,
    ):
        for number in range(setting.count):
            done.sent += 1
            try:
                if number % 2:
                    call = agent_pb2_grpc.AgentServiceStub(agents).Session(timeout=60)
                    await call.write(pb.SessionRequest(hello=pb.Hello(incarnation=1, boot_id=padding)))
                    await call.read()
                    await call.code()
                else:
                    await agent_pb2_grpc.AgentServiceStub(listener).Enroll(pb.EnrollRequest(token=padding), timeout=60)
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                pass
            done.refused += 1


async def enrol(setting: Setting, done: Done) -> None:
    """Enrolments with tokens that nobody made, a thousand a second."""
    told = told_in(Path(setting.identity))
    credentials = grpc.ssl_channel_credentials(told["ca"].encode())
    options = (("grpc.use_local_subchannel_pool", 1),)
    in_flight = asyncio.Semaphore(1000)
    async with contextlib.AsyncExitStack() as closing:
        stubs = [
            agent_pb2_grpc.AgentServiceStub(
                await closing.enter_async_context(grpc.aio.secure_channel(setting.public, credentials, options=options))
            )
            for _ in range(CONNECTIONS)
        ]

        async def one(number: int) -> None:
            async with in_flight:
                request = pb.EnrollRequest(
                    request_id=f"flood-{number}",
                    token="haulier-join." + os.urandom(32).hex(),
                    csr_pem=b"none",
                    agent_name="flood",
                )
                try:
                    await stubs[number % CONNECTIONS].Enroll(request, timeout=20)
                except grpc.aio.AioRpcError:
                    done.refused += 1

        began_at = time.monotonic()
        calls = []
        for number in range(setting.count):
            done.sent += 1
            calls.append(asyncio.create_task(one(number)))
            ahead_s = began_at + number / 1000 - time.monotonic()
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
        await asyncio.gather(*calls)


async def greedy(setting: Setting, done: Done) -> None:
    """Agents that fetch artefacts all the time, some without reading them."""
    done.sent, done.refused = await fetchers.fetch(Path(setting.identity).parent, setting.count)


FLOODS: dict[str, Callable[[Setting, Done], Awaitable[None]]] = {
    "idle connections": idle,
    "slow senders": slow,
    "open and cancel": open_and_cancel,
    "open and cancel, sent-away": open_and_cancel,
    "64 MiB messages": huge,
    "enrolments": enrol,
    "malformed messages": malformed,
    "artefacts": greedy,
}


async def flood(name: str, setting: Setting) -> None:
    """Run one flood and print what it did."""
    done = Done()
    began_at = time.monotonic()
    await FLOODS[name](setting, done)
    print(json.dumps({"sent": done.sent, "refused": done.refused, "took_s": time.monotonic() - began_at}), flush=True)


if __name__ == "__main__":
    uvloop.run(flood(sys.argv[1], Setting(**json.loads(sys.argv[2]))))
