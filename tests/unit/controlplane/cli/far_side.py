"""The far side of the wire: a real gRPC server with real TLS that answers with the messages a test gave it."""

import json
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from haulier.v1 import fleet_pb2, fleet_pb2_grpc, operator_pb2_grpc
from haulier.v1 import operator_pb2 as op

from controlplane.identity.authority import CertificateAuthority

TOKEN = "haulier-operator.test-token"
SERVICE = op.DESCRIPTOR.services_by_name["OperatorService"]
FLEETS = fleet_pb2.DESCRIPTOR.services_by_name["FleetService"]


class Refusal(Exception):
    """An answer that is a status."""

    def __init__(self, status: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.status = status
        self.details = details


@dataclass
class FarSide:
    """What the server says and heard. An answer is a message, a list of messages for a stream, an exception, or a
    function of the request that returns one of these."""

    answers: dict[str, Any] = field(default_factory=dict)
    heard: list[Message] = field(default_factory=list)
    deadlines: dict[str, bool] = field(default_factory=dict)
    address: str = ""
    ca_pem: str = ""

    def says(self, method: str, answer: Any) -> None:
        """Sets the answer to a method."""
        self.answers[method] = answer

    def write_profile(self, path: Path, **changed: str) -> Path:
        """An operator profile for this server, as `haulier-controlplane init` writes it."""
        path.touch(mode=0o600)
        path.write_text(json.dumps({"address": self.address, "ca_pem": self.ca_pem, "token": TOKEN, **changed}))
        return path

    def _answer(self, method: str, request: Message, context: grpc.ServicerContext) -> Any:
        metadata = dict(context.invocation_metadata())
        if metadata.get("authorization") != f"Bearer {TOKEN}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "the token is not known")
        self.heard.append(request)
        left_s = context.time_remaining()
        self.deadlines[method] = left_s is not None and left_s < 1e6
        answer = self.answers.get(method, Refusal(grpc.StatusCode.UNIMPLEMENTED, "no answer was prepared"))
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Refusal):
            context.abort(answer.status, answer.details)
        return answer

    def unary(self, method: str) -> Callable[[Message, grpc.ServicerContext], Any]:
        """The handler of a unary method."""
        return lambda request, context: self._answer(method, request, context)

    def streaming(self, method: str) -> Callable[[Message, grpc.ServicerContext], Iterator[Any]]:
        """The handler of a server-streaming method; a Refusal among the messages ends the stream with its status."""

        def handle(request: Message, context: grpc.ServicerContext) -> Iterator[Any]:
            messages: Iterable[Any] = self._answer(method, request, context)
            for message in messages:
                if isinstance(message, Refusal):
                    context.abort(message.status, message.details)
                yield message

        return handle


def _answering(far: FarSide, service: Any, servicer: Any) -> Any:
    for method in service.methods:
        handler = far.streaming(method.name) if method.server_streaming else far.unary(method.name)
        setattr(servicer, method.name, handler)
    return servicer


@contextmanager
def serving(*, host: str = "127.0.0.1", port: int = 0, names: tuple[str, ...] = ()) -> Iterator[FarSide]:
    """A server on loopback with its own certificate authority."""
    far = FarSide()
    now = time.time()
    authority = CertificateAuthority.create(now=now, serial=secrets.randbits(64) + 1)
    credentials = authority.issue_controlplane(
        names, not_before_at=now - 60, not_after_at=now + 3600, serial=secrets.randbits(64) + 1
    )
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    operators = _answering(far, SERVICE, operator_pb2_grpc.OperatorServiceServicer())
    operator_pb2_grpc.add_OperatorServiceServicer_to_server(operators, server)
    fleets = _answering(far, FLEETS, fleet_pb2_grpc.FleetServiceServicer())
    fleet_pb2_grpc.add_FleetServiceServicer_to_server(fleets, server)
    tls = grpc.ssl_server_credentials([(credentials.key_pem, credentials.chain_pem)])
    bound = server.add_secure_port(f"{host}:{port}", tls)
    far.address = f"{host}:{bound}"
    far.ca_pem = authority.certificate_pem.decode()
    server.start()
    try:
        yield far
    finally:
        server.stop(grace=None).wait(5)
