"""The door for agents: enrolment, the session stream, output of attempts."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import grpc
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import agent_pb2_grpc

from controlplane.core.leasing import Refused
from controlplane.identity.authority import AGENT_CERTIFICATE_TTL_S
from controlplane.identity.peers import IdentityError
from controlplane.rpc import translate
from controlplane.rpc.callers import agent_of
from controlplane.rpc.outgoing import Outgoing
from controlplane.service import fleet
from controlplane.service.errors import StoreFailed
from controlplane.service.joining import Denied, Joining
from controlplane.service.outputs import Outputs

_log = logging.getLogger("haulier.rpc.agents")

MESSAGE_BYTES_MAX = 64 * 1024
# Results a session may have in flight towards the store; beyond it the stream is not read (back-pressure, promise C5).
RESULTS_IN_FLIGHT_MAX = 8
HELLO_S_MAX = 30.0


class AgentDoor(agent_pb2_grpc.AgentServiceServicer):
    """See ``haulier.v1.AgentService``."""

    def __init__(
        self,
        agents: fleet.Fleet,
        joining: Joining,
        outputs: Outputs,
        session_address: str,
        version: str,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """``wall_clock`` tells when a certificate, which this host has dated, ends."""
        self._fleet = agents
        self._wall_clock = wall_clock
        self.hello_s_max = HELLO_S_MAX
        self._joining = joining
        self._outputs = outputs
        self.session_address = session_address
        self._open: set[Outgoing] = set()
        self._version = version

    async def Enroll(self, request: pb.EnrollRequest, context: Any) -> pb.EnrollResponse:  # noqa: N802
        """Trade a join token for a certificate."""
        try:
            joined = await self._joining.enroll(
                token=request.token,
                csr_pem=request.csr_pem,
                agent_name=request.agent_name,
                request_id=request.request_id,
            )
        except Denied as denied:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(denied))
        except IdentityError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return pb.EnrollResponse(
            agent_id=joined.agent_id,
            certificate_pem=joined.certificate_pem,
            ca_pem=self._joining.authority.certificate_pem,
            session_address=self.session_address,
            certificate_ttl_s=AGENT_CERTIFICATE_TTL_S,
        )

    async def Session(  # noqa: N802
        self, requests: AsyncIterator[pb.SessionRequest], context: Any
    ) -> AsyncIterator[pb.SessionResponse]:
        """Serve one agent until its stream ends."""
        identity = agent_of(context)
        assert identity is not None, "the interceptor lets only agents through"
        outgoing = Outgoing()
        self._open.add(outgoing)
        session: fleet.Session | None = None
        reader: asyncio.Task[None] | None = None
        # TLS looks at a certificate once, when a connection begins: a stream would outlive it.
        certificate_ends = asyncio.get_running_loop().call_later(
            max(0.0, identity.not_after_at - self._wall_clock()),
            outgoing.close,
            grpc.StatusCode.UNAUTHENTICATED,
            "the agent's certificate has ended: join again with a fresh join token",
        )
        try:
            first = await self._first(requests, context)
            if first is None:
                return
            session = await self._welcome(first, identity.id, outgoing, context)
            settings = self._fleet.settings
            yield translate.welcome(session.agent.id, settings, self._version)
            reader = asyncio.create_task(self._read(requests, session, outgoing, first))
            while (said := await outgoing.take()) is not None:
                for message in translate.responses(said, settings.ttl_s, MESSAGE_BYTES_MAX):
                    yield message
            if outgoing.status is not None:
                await context.abort(outgoing.status, outgoing.details)
            if reader.done():
                await reader
        finally:
            certificate_ends.cancel()
            if reader is not None:
                reader.cancel()
            self._open.discard(outgoing)
            if session is not None:
                self._fleet.close(session)

    def end_sessions(self) -> None:
        """Let every stream end after what it is sending: agents reconnect, wherever the control plane is then."""
        for outgoing in self._open:
            outgoing.close()

    async def _first(self, requests: AsyncIterator[pb.SessionRequest], context: Any) -> pb.SessionRequest | None:
        """Wait for the first message, but not for ever: a stream that says nothing costs memory all the same."""
        try:
            async with asyncio.timeout(self.hello_s_max):
                return await anext(aiter(requests), None)
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"no hello came within {self.hello_s_max:g} s")
        return None

    async def _welcome(
        self, first: pb.SessionRequest, agent_id: str, outgoing: Outgoing, context: Any
    ) -> fleet.Session:
        """Open the session that Hello asks for, or abort the call."""
        if not first.HasField("hello"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message of a session must carry hello")
        try:
            hello = translate.introduction_of(first.hello)
        except translate.BadMessage as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        try:
            opened = await self._fleet.open(agent_id, hello, outgoing.send, lambda: _overtaken(outgoing))
        except StoreFailed as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        if isinstance(opened, Refused):
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, opened.because)
        assert isinstance(opened, fleet.Session), "abort does not return"
        return opened

    async def _read(
        self,
        requests: AsyncIterator[pb.SessionRequest],
        session: fleet.Session,
        outgoing: Outgoing,
        first: pb.SessionRequest,
    ) -> None:
        """Take in the agent's messages until they end; results go to the store side by side."""
        in_flight = asyncio.Semaphore(RESULTS_IN_FLIGHT_MAX)
        ended = partial(self._settled, session, outgoing, in_flight)
        try:
            self._take(first, session)
            await self._begin_settling(first, session, in_flight, ended)
            async for message in requests:
                self._take(message, session)
                await self._begin_settling(message, session, in_flight, ended)
            # The agent has said its last: what it reported is acknowledged before the stream ends.
            for _ in range(RESULTS_IN_FLIGHT_MAX):
                await in_flight.acquire()
        except translate.BadMessage as error:
            outgoing.close(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        finally:
            outgoing.close()

    async def _begin_settling(
        self,
        message: pb.SessionRequest,
        session: fleet.Session,
        in_flight: asyncio.Semaphore,
        ended: Callable[[asyncio.Task[None]], None],
    ) -> None:
        """Hand the results of a message to the store, as soon as few enough of this session are under way."""
        if message.results:
            outcomes = [translate.outcome_of(result) for result in message.results]
            await in_flight.acquire()
            self._fleet.begin_results(session, outcomes).add_done_callback(ended)

    def _settled(
        self, session: fleet.Session, outgoing: Outgoing, in_flight: asyncio.Semaphore, task: asyncio.Task[None]
    ) -> None:
        in_flight.release()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, StoreFailed):
            # Not acknowledged, so the agent says it again when it is back.
            _log.error("results of %s were not kept: %s", session.agent.name, error)
            outgoing.close(grpc.StatusCode.UNAVAILABLE, str(error))
        elif error is not None:
            _log.error("results of %s were not kept", session.agent.name, exc_info=error)
            outgoing.close(grpc.StatusCode.INTERNAL, f"internal error: {type(error).__name__}")

    def _take(self, message: pb.SessionRequest, session: fleet.Session) -> None:
        """Take in what costs no transaction."""
        now = self._fleet.now()
        for progress in message.progress:
            self._fleet.book.report(
                translate.held_of(progress),
                agent_id=session.agent.id,
                total=translate.bounded(progress.total),
                done_bytes=translate.bounded(progress.done_bytes),
                stage=progress.stage[:64],
                started=progress.started,
                now=now,
            )
        if message.HasField("heartbeat"):
            beat = message.heartbeat
            held = [translate.held_of(item) for item in beat.held]
            self._fleet.heartbeat(session, held, message.sequence, translate.sample_text(beat))
        else:
            session.heard_at = now

    async def Logs(  # noqa: N802
        self, requests: AsyncIterator[pb.LogsRequest], context: Any
    ) -> AsyncIterator[pb.LogsResponse]:
        """Keep the output of attempts that this agent holds."""
        identity = agent_of(context)
        assert identity is not None, "the interceptor lets only agents through"
        async for piece in requests:
            stored = await self._outputs.append(
                identity.id, piece.attempt_id, piece.offset, piece.data, piece.dropped_bytes, last=piece.last
            )
            if stored is None:
                await context.abort(
                    grpc.StatusCode.PERMISSION_DENIED, f"attempt {piece.attempt_id} is not this agent's"
                )
            yield pb.LogsResponse(attempt_id=piece.attempt_id, stored_offset=stored)


def _overtaken(outgoing: Outgoing) -> None:
    outgoing.close(grpc.StatusCode.ABORTED, "another stream of this agent took over")
