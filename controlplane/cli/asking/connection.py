"""The way to the control plane: one TLS channel, the token on every call, a deadline on every unary call."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc
from google.protobuf.message import Message
from haulier.v1 import (
    access_pb2_grpc,
    audit_pb2_grpc,
    black_box_pb2_grpc,
    fleet_pb2_grpc,
    operator_pb2_grpc,
    repository_pb2_grpc,
)

from controlplane.cli.asking import profile as profiles
from controlplane.cli.asking import proxies
from controlplane.cli.asking.profile import Profile
from controlplane.cli.screen.problems import Problem, of_rpc_error

A = TypeVar("A", bound=Message)
B = TypeVar("B", bound=Message)

TIMEOUT_S = 30.0
_REPEAT_AFTER_S = (0.2, 0.6)
_RECEIVE_BYTES_MAX = 256 << 20

_CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", _RECEIVE_BYTES_MAX),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A watcher must notice that its control plane vanished without a word.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]


class Operator:
    """The operator service behind one profile. Use as a context manager; every failure is a Problem."""

    def __init__(self, profile: Profile, *, timeout_s: float = TIMEOUT_S) -> None:
        self._profile = profile
        self._timeout_s = timeout_s
        credentials = grpc.ssl_channel_credentials(root_certificates=profile.ca_pem.encode())
        options = [*_CHANNEL_OPTIONS, *proxies.options(profile.proxy)]
        self._channel = grpc.secure_channel(profile.address, credentials, options=options)
        self._stubs = _stubs(self._channel)
        self._metadata = (("authorization", f"Bearer {profile.token}"),)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()

    @property
    def profile(self) -> Profile:
        """Whose control plane this is."""
        return self._profile

    @property
    def address(self) -> str:
        """host:port of the control plane."""
        return self._profile.address

    def call(self, request: Message, answer: type[A], *, timeout_s: float | None = None, repeatable: bool = True) -> A:
        """Makes the unary call that `request` belongs to and returns its answer.

        A repeatable call (reading, or carrying its own request id) is tried again when the control plane is briefly
        away, as in a restart. Raises Problem.
        """
        method = self._method(request)
        deadline_s = self._timeout_s if timeout_s is None else timeout_s
        pauses = iter(_REPEAT_AFTER_S if repeatable else ())
        while True:
            try:
                response = method(request, timeout=deadline_s, metadata=self._metadata)
            except grpc.RpcError as error:
                pause_s = next(pauses, None) if _may_pass(error) else None
                if pause_s is None:
                    raise self._problem(error, deadline_s) from None
                threading.Event().wait(pause_s)
            else:
                if not isinstance(response, answer):
                    raise TypeError(f"{type(request).__name__} is answered by {type(response).__name__}")
                return response

    def stream(self, request: Message, answer: type[A]) -> Iterator[A]:
        """Yields what the server-streaming call that `request` belongs to sends, until it ends. Raises Problem."""
        stream = self._method(request)(request, metadata=self._metadata)
        try:
            for response in stream:
                if not isinstance(response, answer):
                    raise TypeError(f"{type(request).__name__} is answered by {type(response).__name__}")
                yield response
        except grpc.RpcError as error:
            raise self._problem(error, 0) from None
        finally:
            stream.cancel()

    def exchange(self, requests: Iterator[A], kind: type[A], answer: type[B]) -> Iterator[B]:
        """Yields what the control plane answers in a call of two streams; `requests` are messages of `kind` and may
        wait for what was answered. Raises Problem."""
        stream = self._method(kind())(requests, metadata=self._metadata)
        try:
            yield from stream
        except grpc.RpcError as error:
            raise self._problem(error, 0) from None
        finally:
            stream.cancel()

    def listing(self, request: Any, answer: type[A]) -> A:
        """Makes a paged call to its end; the answer holds the items of all pages and no page token. Raises Problem."""
        whole = answer()
        while True:
            page: Any = self.call(request, answer)
            whole.MergeFrom(page)
            if not page.next_page_token:
                whole.ClearField("next_page_token")
                return whole
            request.page_token = page.next_page_token

    def _method(self, request: Message) -> Any:
        """The method that a request belongs to: its name says which, and only one service has it."""
        name = str(request.DESCRIPTOR.name).removesuffix("Request")
        return next(getattr(stub, name) for stub in self._stubs if hasattr(stub, name))

    def _problem(self, error: grpc.RpcError, timeout_s: float) -> Problem:
        profile = self._profile
        setting = f"{profiles.PROXY_VARIABLE} or `proxy` in the profile"
        way = proxies.told(profile.proxy, profile.host, setting, os.environ)
        return of_rpc_error(
            error, address=profile.address, profile_path=profile.path, timeout_s=timeout_s, way=way.removeprefix("; ")
        )


def connect(given: str | None, *, timeout_s: float = TIMEOUT_S) -> Operator:
    """The operator service of the profile that was named, or found in its usual places. Raises Problem."""
    found = profiles.load(profiles.find(given, os.environ, Path.home()), os.environ.get(profiles.PROXY_VARIABLE))
    return Operator(found, timeout_s=timeout_s)


def _stubs(channel: grpc.Channel) -> list[Any]:
    # The generated stubs carry no types; the answers' types are checked in `call` and `stream`.
    return [
        operator_pb2_grpc.OperatorServiceStub(channel),
        access_pb2_grpc.AccessServiceStub(channel),
        audit_pb2_grpc.AuditServiceStub(channel),
        repository_pb2_grpc.RepositoryServiceStub(channel),
        fleet_pb2_grpc.FleetServiceStub(channel),
        black_box_pb2_grpc.BlackBoxServiceStub(channel),
    ]


def _may_pass(error: grpc.RpcError) -> bool:
    """Whether the control plane may be back in a moment. A wrong certificate stays wrong."""
    lowered = str(error.details() or "").lower()
    return error.code() is grpc.StatusCode.UNAVAILABLE and "ssl" not in lowered and "handshake" not in lowered
