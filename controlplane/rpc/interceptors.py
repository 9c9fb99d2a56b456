"""What every call passes on its way in: identity, authorisation, a deadline, and errors that people can read."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from controlplane.core.access.approvals import GATED_METHODS
from controlplane.identity.operator_tokens import Recognised
from controlplane.identity.roles import OPERATOR_ROLES, Role, may_call, why_refused
from controlplane.rpc.access.scoping import Scoping
from controlplane.rpc.calls.callers import CALLER, Caller, address_of, agent_of
from controlplane.rpc.calls.statuses import STATUS_OF
from controlplane.service.access.approvals import Approvals
from controlplane.service.access.identities import Identities
from controlplane.service.access.operators import Operators
from controlplane.service.access.ownership import OutOfScope
from controlplane.service.access.refusals import Refusals
from controlplane.service.errors import AwaitsApproval

_log = logging.getLogger("haulier.rpc")

# A timer beyond this is of no use: whatever lives longer meets a restart first.
_TIMER_S_MAX = 30 * 86_400.0
# How long a message under way may take when its stream is to end at once.
_LAST_WRITE_S_MAX = 0.3

# In the trailing metadata of a call that waits for a second person: the id of its approval.
APPROVAL_KEY = "haulier-approval"

# What a call's status is until somebody says one.
_NOT_SAID = (None, 0, grpc.StatusCode.OK)

# What stands for a message that is none: gRPC itself would log a traceback for each, at the pace of whoever sends them.
UNREADABLE = object()


def readable(deserializer: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return ``deserializer``, which now answers ``UNREADABLE`` instead of raising."""

    def read(data: bytes) -> Any:
        try:
            return deserializer(data)
        except DecodeError:
            return UNREADABLE

    return read


def _unreadable(details: Any) -> str:
    return f"{details.method.rpartition('/')[2]}: the message cannot be read; is the other side Haulier?"


async def _read(requests: AsyncIterator[Any], context: Any, details: Any) -> AsyncIterator[Any]:
    """Pass messages on; the first that cannot be read ends the call."""
    async for request in requests:
        if request is UNREADABLE:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _unreadable(details))
        yield request


@dataclass(frozen=True, slots=True)
class Guards:
    """Whom the gate asks."""

    identities: Identities
    operators: Operators
    scoping: Scoping
    approvals: Approvals
    refusals: Refusals


class Gate(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Finds out who calls, refuses what the role may not do, and turns errors into statuses."""

    def __init__(self, guards: Guards, *, by_certificate: bool) -> None:
        """``by_certificate``: this listener demands client certificates and serves agents only."""
        self._guards = guards
        self._by_certificate = by_certificate

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: grpc.HandlerCallDetails
    ) -> Any:
        """Wrap the method's handler."""
        handler = await continuation(details)
        if handler is None:
            return None
        if handler.request_streaming or handler.response_streaming:
            return self._wrap_stream(handler, details)
        return grpc.unary_unary_rpc_method_handler(
            self._unary(handler.unary_unary, details),
            readable(handler.request_deserializer),
            handler.response_serializer,
        )

    def _unary(self, inner: Callable[[Any, Any], Awaitable[Any]], details: Any) -> Callable[[Any, Any], Awaitable[Any]]:
        async def call(request: Any, context: Any) -> Any:
            async with _answering(context, details):
                caller = await self._admit(context, details)
                if request is UNREADABLE:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _unreadable(details))
                if context.time_remaining() is None:
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the call needs a deadline; set a timeout")
                await self._look_into(caller, request, context, details)
                response = await inner(request, context)
                if caller.owners:
                    response = await self._guards.scoping.filtered(details.method, response, caller.owners)
                return response

        return call

    def _wrap_stream(self, handler: Any, details: Any) -> Any:
        inner = handler.stream_stream or handler.unary_stream
        scoping = self._guards.scoping

        async def call(request: Any, context: Any) -> Any:
            ending = Ending()
            try:
                async with _answering(context, details):
                    caller = await self._admit(context, details)
                    ending.watch(caller, self._guards)
                    if request is UNREADABLE:
                        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _unreadable(details))
                    await self._look_into(caller, None if handler.request_streaming else request, context, details)
                    asked = _read(request, context, details) if handler.request_streaming else request
                    answers = inner(asked, context)
                    if not hasattr(answers, "__aiter__"):
                        await answers  # it writes by itself, as the health service does
                        return
                    async for response in answers:
                        seen = response
                        if caller.owners:
                            seen = await scoping.filtered(details.method, response, caller.owners)
                        if seen is not None:
                            ending.is_writing = True
                            yield seen
                            ending.is_writing = False
                            if ending.why:
                                raise asyncio.CancelledError
            except asyncio.CancelledError:
                if not ending.why:
                    raise
                await _end(context, grpc.StatusCode.UNAUTHENTICATED, ending.why)
            finally:
                ending.over()

        make = grpc.stream_stream_rpc_method_handler if handler.stream_stream else grpc.unary_stream_rpc_method_handler
        return make(call, readable(handler.request_deserializer), handler.response_serializer)

    async def _admit(self, context: Any, details: Any) -> Caller:
        """Refuse the call unless its caller may make it."""
        caller, doubt = await self._caller(context, details)
        if not may_call(caller.role, details.method):
            why = why_refused(caller.role, details.method)
            code = grpc.StatusCode.PERMISSION_DENIED
            if caller.role is Role.ANONYMOUS:
                why, code = doubt or why, grpc.StatusCode.UNAUTHENTICATED
            self._guards.refusals.note(_shown(caller, context), details.method.rpartition("/")[2], why)
            await context.abort(code, why)
        CALLER.set(caller)
        return caller

    async def _look_into(self, caller: Caller, request: Any, context: Any, details: Any) -> None:
        """Refuse a call for what it asks: data of other owners, or something that takes two persons."""
        short = details.method.rpartition("/")[2]
        if caller.owners:
            try:
                await self._guards.scoping.check(details.method, request, caller.owners)
            except OutOfScope as error:
                self._guards.refusals.note(_shown(caller, context), short, str(error))
                raise
        if caller.role not in OPERATOR_ROLES or request is None:
            return
        approvals = self._guards.approvals
        if short in GATED_METHODS:
            return  # its service resolves what it would touch, and asks the gate in the transaction of the effect
        if approvals.concerns(short, lambda field: bool(getattr(request, field, None))):
            said, summary = _essence(request)
            await approvals.take(caller.name, short, said, summary)

    async def _caller(self, context: Any, details: Any) -> tuple[Caller, str]:
        if self._by_certificate:
            identity = agent_of(context)
            if identity is None:
                return Caller(Role.ANONYMOUS, ""), "the certificate names no agent of this control plane"
            refused = self._guards.identities.why_refused(identity)
            if refused:
                return Caller(Role.ANONYMOUS, identity.id), refused
            return Caller(Role.AGENT, identity.id, identity), ""
        for key, value in details.invocation_metadata or ():
            if key == "authorization":
                answer = await self._guards.operators.recognise(value, address_of(context))
                if isinstance(answer, Recognised):
                    return Caller(answer.role, answer.name, None, answer.owners, answer.token_id, answer.ends_in_s), ""
                return Caller(Role.ANONYMOUS, ""), answer.because
        return Caller(Role.ANONYMOUS, ""), ""


@asynccontextmanager
async def _answering(context: Any, details: Any) -> AsyncIterator[None]:
    """Turn errors into statuses that people can read."""
    try:
        yield
    except tuple(STATUS_OF) as error:
        if isinstance(error, AwaitsApproval):
            context.set_trailing_metadata(((APPROVAL_KEY, error.approval_id),))
        await _end(context, STATUS_OF[type(error)], str(error))
    except grpc.aio.AbortError:
        raise
    # Whatever is left is our own error: the caller gets one line, the log gets the rest.
    except Exception as error:
        if context.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNIMPLEMENTED.value[0]):
            await _end(context, grpc.StatusCode.UNIMPLEMENTED, f"{details.method} is not served")
        if context.code() not in _NOT_SAID:
            # It was to be refused, and had gone before: a log line for each would be written at its pace.
            raise asyncio.CancelledError from error
        _log.exception("%s failed", details.method)
        await _end(context, grpc.StatusCode.INTERNAL, f"internal error: {type(error).__name__}")


async def _end(context: Any, code: grpc.StatusCode, details: str) -> None:
    """End a call with a status. A caller that has gone cannot be told: gRPC's own error of that cancels the call."""
    try:
        await context.abort(code, details)
    except grpc.aio.AbortError:
        raise
    # gRPC's errors of a send that failed have no public class; nothing of ours is called here.
    except Exception as error:
        raise asyncio.CancelledError from error


def _shown(caller: Caller, context: Any) -> str:
    return f"{caller.name or 'somebody'} ({caller.role}) at {address_of(context)}"


def _essence(request: Any) -> tuple[bytes, str]:
    """Return what of a request a second person agrees to, and how it reads: all but the id of this very try."""
    bare = type(request)()
    bare.CopyFrom(request)
    if "request_id" in bare.DESCRIPTOR.fields_by_name:
        bare.ClearField("request_id")
    return bare.SerializeToString(deterministic=True), " ".join(
        text_format.MessageToString(bare, as_one_line=True).split()
    )


class Ending:
    """Ends one stream when the identity that opened it does: TLS looks at a certificate only at the beginning."""

    def __init__(self) -> None:
        self.why = ""
        self.is_writing = False  # the task is in gRPC's hands, where a cancellation would lose the status
        self._undo: list[Callable[[], None]] = []

    def watch(self, caller: Caller, guards: Guards) -> None:
        """Watch over the stream that the present task serves."""
        task = asyncio.current_task()
        assert task is not None, "grpc serves every stream in a task"

        loop = asyncio.get_running_loop()

        def end(why: str) -> None:
            if self.why:
                return
            self.why = why
            if self.is_writing:
                # Whoever does not read is not waited for long.
                self._undo.append(loop.call_later(_LAST_WRITE_S_MAX, task.cancel).cancel)
            else:
                task.cancel()

        if caller.identity is not None:
            left_s = caller.identity.not_after_at - guards.identities.wall_clock()
            because = "the agent's certificate has ended: join again with a token made for this agent's name"
            self._undo.append(guards.identities.streams.watch(caller.identity.id, end))
        elif caller.token_id:
            left_s, because = caller.ends_in_s, "the operator token has expired; ask an administrator for a new one"
            self._undo.append(guards.operators.streams.watch(caller.token_id, end))
        else:
            return
        timer = loop.call_later(min(max(0.0, left_s), _TIMER_S_MAX), end, because)
        self._undo.append(timer.cancel)

    def over(self) -> None:
        """The stream has ended by itself."""
        for undo in self._undo:
            undo()
