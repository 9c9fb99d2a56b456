"""The session stream: a thin shell around grpc.aio that turns effects into messages and messages into
events."""

import asyncio
import contextlib
import logging
import os
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import agent_pb2_grpc

from agentd.core import events
from agentd.core.effects import CloseSession, OpenSession, SendReport
from agentd.core.events import Event
from agentd.core.grants import HostSample
from agentd.link import clocks, proxies, translate
from agentd.link.identity_files import Enrolment, NotJoined
from agentd.link.outbox import MESSAGE_BYTES_MAX, Outbox

log = logging.getLogger(__name__)

# From the first byte to the Welcome.
DIAL_MAX_S = 10.0
# Refusals of who we are: dialling again at once cannot help.
_REFUSED = {
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
}
OPTIONS = (
    # Each dial is a new connection with its own backoff, which is the core's.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    # Notices a peer that is gone without a word.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", 4 * MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", 4 * MESSAGE_BYTES_MAX),
)
# gRPC pings after what it receives, to learn how wide the way is: only who receives much is served by that.
SESSION_OPTIONS = (*OPTIONS, ("grpc.http2.bdp_probe", 0))

_HUNG_UP = re.compile(r"socket closed|connection reset|handshake", re.IGNORECASE)
_PERHAPS_REFUSED = (
    "; if this goes on, the control plane does not accept this agent's certificate: "
    "join again with a token from `haulier token create`"
)

Tell = Callable[[Event], None]
Clock = Callable[[], float]
Sample = Callable[[], HostSample]
# Something that uses the session's channel as long as it is open, such as the shipping of logs.
Rider = Callable[[grpc.aio.Channel], Any]


class Link:
    """Sessions of one agent, one at a time. Every method is called on one loop."""

    def __init__(
        self, enrolment: Enrolment, tell: Tell, clock: Clock, sample: Sample, rider: Rider | None = None
    ) -> None:
        self._enrolment = enrolment
        self._tell = tell
        self._clock = clock
        self._sample = sample
        self._rider = rider
        self._outbox = Outbox()
        self._task: asyncio.Task[None] | None = None

    def open(self, effect: OpenSession) -> None:
        """Dial and say Hello; tells SessionOpened or SessionClosed."""
        self._outbox = Outbox()
        self._task = asyncio.get_running_loop().create_task(self._session(effect, self._outbox))

    def send(self, effect: SendReport) -> None:
        """Put a report into the next message."""
        whole = effect.heartbeat and not effect.progress
        self._outbox.add(effect, self._sample() if whole else None)

    def close(self, effect: CloseSession) -> None:
        """Hang up; tells SessionClosed."""
        if self._task is not None:
            self._task.cancel(effect.reason)

    async def shut(self, flush_s: float) -> None:
        """Give what waits at most `flush_s` to leave, then hang up."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._outbox.emptied(), flush_s)
        self._task.cancel("the daemon stops")
        await asyncio.gather(self._task, return_exceptions=True)

    async def _session(self, effect: OpenSession, outbox: Outbox) -> None:
        reason, refused = "the control plane closed the stream", False
        try:
            await self._talk(effect, outbox)
        except asyncio.CancelledError as error:
            reason = str(error) or "hung up"
        except TimeoutError:
            reason = f"no welcome from {self._enrolment.session_address} within {DIAL_MAX_S:g} s{self._way()}"
        except translate.BadMessage as error:
            reason, refused = str(error), True
        except NotJoined as error:
            reason, refused = str(error), True
        except grpc.aio.AioRpcError as error:
            reason, refused = _told(error), error.code() in _REFUSED
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                reason += self._way()
        self._tell(events.SessionClosed(effect.session, reason, random.random(), refused))

    def _way(self) -> str:
        setting = "proxy in the agent's configuration, or --proxy of join"
        return proxies.told(self._enrolment.proxy, self._enrolment.session_host, setting, os.environ)

    async def _talk(self, effect: OpenSession, outbox: Outbox) -> None:
        async with channel_of(self._enrolment, effect.candidate, SESSION_OPTIONS) as channel:
            stub = agent_pb2_grpc.AgentServiceStub(channel)
            call = stub.Session()
            async with asyncio.timeout(DIAL_MAX_S):
                sent_at = self._clock()
                await _written(call, pb.SessionRequest(sequence=1, hello=translate.hello(effect)))
                first = await call.read()
            if first is grpc.aio.EOF:
                await _raise_status(call)
                return
            opened = translate.welcome(effect.session, first)
            self._tell(opened)
            self._tell(events.ReportSent(effect.session, 1, sent_at))
            self._tell_all(effect, first)
            helpers = [asyncio.create_task(self._write(effect, call, outbox))]
            if self._rider is not None:
                helpers.append(asyncio.create_task(self._rider(channel)))
            try:
                await self._read(effect, call)
            finally:
                call.cancel()
                for helper in helpers:
                    helper.cancel()
                await asyncio.gather(*helpers, return_exceptions=True)

    async def _write(self, effect: OpenSession, call: Any, outbox: Outbox) -> None:
        while True:
            await outbox.wait()
            message = outbox.take()
            self._tell(events.ReportSent(effect.session, message.sequence, self._clock()))
            try:
                await call.write(message)
                outbox.sent()
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                # The reader learns the same and tells why.
                return

    async def _read(self, effect: OpenSession, call: Any) -> None:
        while (message := await call.read()) is not grpc.aio.EOF:
            self._tell_all(effect, message)
        await _raise_status(call)

    def _tell_all(self, effect: OpenSession, message: pb.SessionResponse) -> None:
        for event in translate.said(effect.session, message):
            if isinstance(event, translate.BadMessage):
                log.warning("ignored: %s", event)
                continue
            self._tell(event)
        for directive in message.directives:
            if directive.WhichOneof("ask") is None:
                log.warning("the control plane asks something that this agent does not know; ignored")


def channel_of(
    enrolment: Enrolment, candidate: bool = False, options: Sequence[tuple[str, int | str]] = OPTIONS
) -> grpc.aio.Channel:
    """A channel that shows the identity in use, or the candidate. Raises NotJoined."""
    ca, key, certificate = enrolment.pair(candidate)
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    options = (*options, *proxies.options(enrolment.proxy))
    return grpc.aio.secure_channel(enrolment.session_address, credentials, options)


async def _written(call: Any, message: pb.SessionRequest) -> None:
    try:
        await call.write(message)
    except asyncio.InvalidStateError:
        await _raise_status(call)


async def _raise_status(call: Any) -> None:
    """Raise the error with which a finished call ended, if it was one."""
    code = await call.code()
    if code is not grpc.StatusCode.OK:
        raise grpc.aio.AioRpcError(
            code, await call.initial_metadata(), await call.trailing_metadata(), details=await call.details()
        )


def _told(error: grpc.aio.AioRpcError) -> str:
    details = " ".join((error.details() or "").split())
    if error.code() is grpc.StatusCode.UNAVAILABLE and _HUNG_UP.search(details):
        # A server that refuses a certificate just hangs up; nothing on this side tells it from other ends.
        details += _PERHAPS_REFUSED
    details = details[:300] + clocks.told(details)
    return f"{error.code().name.lower()}: {details}" if details else error.code().name.lower()
