"""The servicer for agents: enrolment, the session stream, output of attempts."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import grpc
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import agent_pb2_grpc

from controlplane.core.steps.leasing import Refused
from controlplane.identity.peers import Identity, IdentityError
from controlplane.rpc.agents import translate
from controlplane.rpc.agents.outgoing import Outgoing
from controlplane.rpc.agents.translate_releases import running_of
from controlplane.rpc.calls.callers import address_of, agent_of
from controlplane.service.access.identities import Identities
from controlplane.service.access.joining import Denied, Joining
from controlplane.service.agents.clones import Life
from controlplane.service.agents.hello import FormerBoot, OtherLife
from controlplane.service.agents.messages import ToAgent
from controlplane.service.agents.session import Session as AgentSession
from controlplane.service.agents.sessions import Sessions
from controlplane.service.audit.witnessing import HeadStatement, Shown, Witnesses
from controlplane.service.errors import StoreFailed
from controlplane.service.steps.outputs import Outputs

# A stage is a word or two, or names who holds what the attempt waits for.
STAGE_CHARACTERS_MAX = 300
_log = logging.getLogger("haulier.rpc.agents")

MESSAGE_BYTES_MAX = 64 * 1024
# Results a session may have in flight towards the store; beyond it the stream is not read (back-pressure, promise C5).
RESULTS_IN_FLIGHT_MAX = 8
HELLO_S_MAX = 30.0


class AgentServicer(agent_pb2_grpc.AgentServiceServicer):
    """See ``haulier.v1.AgentService``."""

    def __init__(
        self,
        agents: Sessions,
        joining: Joining,
        identities: Identities,
        outputs: Outputs,
        session_address: str,
        version: str,
        witnesses: Witnesses | None = None,
    ) -> None:
        """``witnesses`` shows heads of the audit log to agents."""
        self._witnesses = witnesses
        self._sessions = agents
        self.hello_s_max = HELLO_S_MAX
        self._joining = joining
        self._identities = identities
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
                address=address_of(context),
            )
        except Denied as denied:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, str(denied))
        except IdentityError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return pb.EnrollResponse(
            agent_id=joined.agent_id,
            certificate_pem=joined.certificate_pem,
            ca_pem=self._identities.authorities.bundle_pem,
            session_address=self.session_address,
            certificate_ttl_s=self._identities.ttl_s,
        )

    async def RenewCertificate(  # noqa: N802
        self, request: pb.RenewCertificateRequest, context: Any
    ) -> pb.RenewCertificateResponse:
        """Give the agent of the call a new certificate beside its old one."""
        identity = agent_of(context)
        assert identity is not None, "the interceptor lets only agents through"
        certified = await self._identities.renew(identity.id, request.csr_pem)
        return pb.RenewCertificateResponse(
            certificate_pem=certified.certificate_pem, ca_pem=certified.bundle_pem, certificate_ttl_s=certified.ttl_s
        )

    async def Session(  # noqa: N802
        self, requests: AsyncIterator[pb.SessionRequest], context: Any
    ) -> AsyncIterator[pb.SessionResponse]:
        """Serve one agent until its stream ends."""
        identity = agent_of(context)
        assert identity is not None, "the interceptor lets only agents through"
        outgoing = Outgoing()
        self._open.add(outgoing)
        session: AgentSession | None = None
        reader: asyncio.Task[None] | None = None
        try:
            first = await self._first(requests, context)
            if first is None:
                return
            settings = self._sessions.settings
            opened = await self._opened(first, identity, outgoing, context)
            if isinstance(opened, OtherLife):
                yield translate.welcome(identity.id, settings, self._version)
                life = Life(first.hello.boot_id, first.hello.state_place)
                await self._unmask(requests, identity.id, life, opened, context)
                return
            session = opened
            yield translate.welcome(identity.id, settings, self._version, self._renew_in_s(identity))
            reader = asyncio.create_task(self._read(requests, session, outgoing, first))
            while (said := await outgoing.take()) is not None:
                for message in translate.responses(said, settings.ttl_s, MESSAGE_BYTES_MAX):
                    yield message
            if outgoing.status is not None:
                await context.abort(outgoing.status, outgoing.details)
            if reader.done():
                await reader
        finally:
            if reader is not None:
                reader.cancel()
            self._open.discard(outgoing)
            if session is not None:
                self._sessions.close(session)

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

    def _renew_in_s(self, identity: Identity) -> float:
        return self._identities.renew_in_s(identity)

    async def _unmask(
        self,
        requests: AsyncIterator[pb.SessionRequest],
        agent_id: str,
        life: Life,
        other: OtherLife,
        context: Any,
    ) -> None:
        """Find out whether another life goes on: only the living answer our welcome."""
        try:
            async with asyncio.timeout(self.hello_s_max):
                answer = await anext(aiter(requests), None)
        except TimeoutError:
            answer = None
        if answer is not None and isinstance(other, FormerBoot):
            why = f"two machines show its identity (boot {life.boot_id} lives beside a later one)"
            await self._identities.found_clone(agent_id, why)
        elif answer is not None:
            self._sessions.met(agent_id, life)
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, other.because)

    async def _opened(
        self, first: pb.SessionRequest, identity: Identity, outgoing: Outgoing, context: Any
    ) -> AgentSession | OtherLife:
        """Open the session that Hello asks for, or abort the call."""
        if not first.HasField("hello"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message of a session must carry hello")
        try:
            hello = translate.introduction_of(first.hello)
        except translate.BadMessage as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        try:
            opened = await self._sessions.open(
                identity.id, hello, outgoing.send, lambda: _overtaken(outgoing), identity
            )
        except StoreFailed as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        if isinstance(opened, Refused) and not isinstance(opened, OtherLife):
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, opened.because)
        assert isinstance(opened, AgentSession | OtherLife), "abort does not return"
        return opened

    async def _read(
        self,
        requests: AsyncIterator[pb.SessionRequest],
        session: AgentSession,
        outgoing: Outgoing,
        first: pb.SessionRequest,
    ) -> None:
        """Take in the agent's messages until they end; results go to the store side by side."""
        in_flight = asyncio.Semaphore(RESULTS_IN_FLIGHT_MAX)
        ended = partial(self._settled, session, outgoing, in_flight)
        try:
            told = HeadStatement(session.agent.id, translate.witnessed_of(first.hello))
            self._take(first, session, told)
            await self._begin_settling(first, session, in_flight, ended)
            async for message in requests:
                self._take(message, session, told)
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
        session: AgentSession,
        in_flight: asyncio.Semaphore,
        ended: Callable[[asyncio.Task[None]], None],
    ) -> None:
        """Hand the results of a message to the store, as soon as few enough of this session are under way."""
        if message.results:
            outcomes = [translate.outcome_of(result) for result in message.results]
            await in_flight.acquire()
            self._sessions.offers.begin_results(session, outcomes).add_done_callback(ended)

    def _settled(
        self, session: AgentSession, outgoing: Outgoing, in_flight: asyncio.Semaphore, task: asyncio.Task[None]
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

    def _take(self, message: pb.SessionRequest, session: AgentSession, told: HeadStatement) -> None:
        """Take in what costs no transaction."""
        for progress in message.progress:
            self._sessions.report(
                session,
                translate.held_of(progress),
                total=translate.bounded(progress.total),
                done_bytes=translate.bounded(progress.done_bytes),
                stage=progress.stage[:STAGE_CHARACTERS_MAX],
                started=progress.started,
            )
        if message.HasField("heartbeat"):
            beat = message.heartbeat
            held = [translate.held_of(item) for item in beat.held]
            self._sessions.heartbeat(session, held, message.sequence, translate.sample_text(beat))
            running = running_of(beat.release) if beat.HasField("release") else None
            self._sessions.host_reported(session, running, beat.sample.agent_rss_bytes)
            if (seen := translate.witnessed_of(beat)) is not None:
                told.tell(seen)
        else:
            self._sessions.heard(session)
        news = message.HasField("heartbeat") or message.HasField("hello")
        if news and self._witnesses is not None and self._witnesses.is_due(told):
            self._sessions.background.spawn(self._compare(self._witnesses, session, told))

    async def _compare(self, witnesses: Witnesses, session: AgentSession, told: HeadStatement) -> None:
        """Compare what an agent has seen of the audit log, and show it what is new."""

        def show(shown: Shown) -> None:
            session.send(ToAgent(shown=shown))

        try:
            await witnesses.hear(told, show)
        except StoreFailed as error:
            _log.error("the head of %s was not compared: %s", session.agent.name, error)

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
