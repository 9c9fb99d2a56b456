"""What every call passes on its way in: identity, authorisation, a deadline, and errors that people can read."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from controlplane.identity.operator_tokens import Recognised
from controlplane.identity.peers import Identity
from controlplane.identity.roles import Role, may_call, why_refused
from controlplane.rpc.callers import CALLER, Caller, agent_of
from controlplane.rpc.operator_door import STATUS_OF
from controlplane.service.identities import Identities
from controlplane.service.operators import Operators

_log = logging.getLogger("haulier.rpc")


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


class Gate(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Finds out who calls, refuses what the role may not do, and turns errors into statuses."""

    def __init__(self, identities: Identities, operators: Operators, *, by_certificate: bool) -> None:
        """``by_certificate``: this listener demands client certificates and serves agents only."""
        self._identities = identities
        self._operators = operators
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
            await self._admit(context, details)
            if request is UNREADABLE:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _unreadable(details))
            remaining = context.time_remaining()
            if remaining is None:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the call needs a deadline; set a timeout")
            try:
                return await inner(request, context)
            except tuple(STATUS_OF) as error:
                await context.abort(STATUS_OF[type(error)], str(error))
            except grpc.aio.AbortError:
                raise
            # Whatever is left is our own error: the caller gets one line, the log gets the rest.
            except Exception as error:  # noqa: BLE001
                _log.exception("%s failed", details.method)
                await context.abort(grpc.StatusCode.INTERNAL, f"internal error: {type(error).__name__}")

        return call

    def _wrap_stream(self, handler: Any, details: Any) -> Any:
        inner = handler.stream_stream or handler.unary_stream

        async def call(request: Any, context: Any) -> Any:
            ending = self._watched(await self._admit(context, details))
            if request is UNREADABLE:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, _unreadable(details))
            asked = _read(request, context, details) if handler.request_streaming else request
            try:
                async for response in inner(asked, context):
                    yield response
            except asyncio.CancelledError:
                if not ending.why:
                    raise
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, ending.why)
            except tuple(STATUS_OF) as error:
                await context.abort(STATUS_OF[type(error)], str(error))
            except grpc.aio.AbortError:
                raise
            # As for unary calls: one line for the caller, the rest for the log.
            except Exception as error:  # noqa: BLE001
                _log.exception("%s failed", details.method)
                await context.abort(grpc.StatusCode.INTERNAL, f"internal error: {type(error).__name__}")
            finally:
                ending.over()

        make = grpc.stream_stream_rpc_method_handler if handler.stream_stream else grpc.unary_stream_rpc_method_handler
        return make(call, readable(handler.request_deserializer), handler.response_serializer)

    def _watched(self, caller: Caller) -> "Ending":
        """Have the stream that this task serves end with the identity that opened it."""
        identity = caller.identity
        return Ending() if identity is None else Ending.of(identity, self._identities)

    async def _admit(self, context: Any, details: Any) -> Caller:
        """Refuse the call unless its caller may make it."""
        caller, doubt = await self._caller(context, details)
        if not may_call(caller.role, details.method):
            if caller.role is Role.ANONYMOUS:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, doubt or why_refused(caller.role, details.method))
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, why_refused(caller.role, details.method))
        CALLER.set(caller)
        return caller

    async def _caller(self, context: Any, details: Any) -> tuple[Caller, str]:
        if self._by_certificate:
            identity = agent_of(context)
            if identity is None:
                return Caller(Role.ANONYMOUS, ""), "the certificate names no agent of this control plane"
            refused = self._identities.why_refused(identity)
            if refused:
                return Caller(Role.ANONYMOUS, ""), refused
            return Caller(Role.AGENT, identity.id, identity), ""
        for key, value in details.invocation_metadata or ():
            if key == "authorization":
                answer = await self._operators.recognise(value)
                if isinstance(answer, Recognised):
                    return Caller(answer.role, answer.name), ""
                return Caller(Role.ANONYMOUS, ""), answer.because
        return Caller(Role.ANONYMOUS, ""), ""


class Ending:
    """Ends one stream when its identity does: TLS looks at a certificate once, when a connection begins."""

    def __init__(self) -> None:
        self.why = ""
        self._undo: list[Callable[[], None]] = []

    @classmethod
    def of(cls, identity: Identity, identities: Identities) -> "Ending":
        """Watch over the stream that the present task serves."""
        ending = cls()
        task = asyncio.current_task()
        assert task is not None, "grpc serves every stream in a task"

        def end(why: str) -> None:
            if not ending.why:
                ending.why = why
                task.cancel()

        left_s = max(0.0, identity.not_after_at - identities.wall_clock())
        because = "the agent's certificate has ended: join again with a token made for this agent's name"
        timer = asyncio.get_running_loop().call_later(left_s, end, because)
        ending._undo = [timer.cancel, identities.watch(identity.id, end)]
        return ending

    def over(self) -> None:
        """The stream has ended by itself."""
        for undo in self._undo:
            undo()
