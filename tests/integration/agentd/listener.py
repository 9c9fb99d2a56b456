"""A control plane of one file: a real servicer of the session protocol behind real mutual TLS, told what to
grant."""

import asyncio
import datetime
import ipaddress
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import agent_pb2_grpc, black_box_pb2, black_box_pb2_grpc, release_pb2

WAIT_S = 30.0
TTL_S = 60.0


@dataclass(frozen=True)
class Pair:
    """A private key with its certificate, as PEM and as objects."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)


def certify(
    name: str,
    signer: Pair | None = None,
    key: ec.EllipticCurvePrivateKey | None = None,
    begins_in_days: int = 0,
    names: Sequence[str] = (),
) -> Pair:
    """A certificate for `name`, signed by `signer` or, without one, by itself as an authority; `names` are further
    addresses that it holds for."""
    own = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    begins = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=begins_in_days, minutes=-5)
    addresses = [x509.IPAddress(ipaddress.ip_address(each)) for each in ("127.0.0.1", *names)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if signer is None else signer.certificate.subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), *addresses]),
            critical=False,
        )
        .sign(own if signer is None else signer.key, hashes.SHA256())
    )
    return Pair(own, certificate)


class Listener(agent_pb2_grpc.AgentServiceServicer):
    """One agent's control plane. Everything it heard is kept; every wait has a bound."""

    def __init__(self, heartbeat_s: float = 0.5, disconnected_max_s: float = 900.0) -> None:
        self.ca = certify("authority")
        self.heartbeat_s = heartbeat_s
        self.disconnected_max_s = disconnected_max_s
        self.acknowledging = True
        self.wait_s = WAIT_S
        self.renewing = True
        self.hellos: list[pb.Hello] = []
        self.releases: list[release_pb2.ReleaseStatus] = []
        self.boxes: dict[str, bytes] = {}
        self.results: dict[str, pb.AttemptResult] = {}
        self.times_told: dict[str, int] = {}
        self.progress: dict[str, pb.AttemptProgress] = {}
        self.started: set[str] = set()
        self.beats = 0
        self.logs: dict[str, bytes] = {}
        self.logs_ended: set[str] = set()
        self.logs_refused: set[str] = set()
        self.dropped_bytes = 0
        self._news = asyncio.Condition()
        self._outgoing: asyncio.Queue[pb.SessionResponse] | None = None
        self._server: Any = None
        self.port = 0

    # Life.

    async def start(self) -> None:
        """Listen on loopback; the second time on the same port."""
        own = certify("controlplane", self.ca)
        credentials = grpc.ssl_server_credentials([(own.key_pem, own.pem)], self.ca.pem, require_client_auth=True)
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        agent_pb2_grpc.add_AgentServiceServicer_to_server(self, self._server)
        black_box_pb2_grpc.add_BlackBoxServiceServicer_to_server(_Boxes(self), self._server)
        self.port = self._server.add_secure_port(f"127.0.0.1:{self.port}", credentials)
        await self._server.start()

    async def stop(self) -> None:
        """Hang up and close the port."""
        self._outgoing = None
        await self._server.stop(0)

    def write_state(self, state: Path) -> None:
        """What `join` would leave behind."""
        own = certify("agent", self.ca)
        state.mkdir(parents=True, exist_ok=True)
        (state / "key.pem").write_bytes(own.key_pem)
        (state / "certificate.pem").write_bytes(own.pem)
        (state / "ca.pem").write_bytes(self.ca.pem)
        identity = {"agent_id": "ag_1", "name": "one", "session_address": f"127.0.0.1:{self.port}"}
        (state / "identity.json").write_text(json.dumps(identity))

    # What a test says.

    async def say(self, **fields: Any) -> None:
        """Send a message; waits for a session first."""
        await self.say_message(pb.SessionResponse(**fields))

    async def say_message(self, message: pb.SessionResponse) -> None:
        """Send a message as it is; waits for a session first."""
        await self.until(lambda: self._outgoing is not None, "a session")
        assert self._outgoing is not None
        self._outgoing.put_nowait(message)

    async def grant(self, attempt_id: str, kind: str, params: Any = None, **fields: Any) -> pb.LeaseGrant:
        """Lease a step."""
        told: dict[str, Any] = {
            "attempt_id": attempt_id,
            "step_id": "step_1",
            "migration_id": "mig_1",
            "step_name": kind,
            "kind": kind,
            "number": 1,
            "fence": 7,
            "target": f"target of {attempt_id}",
            "direction": pb.DIRECTION_FORWARD,
            "params": params if isinstance(params, bytes) else json.dumps(params).encode(),
            "ttl_s": TTL_S,
        }
        grant = pb.LeaseGrant(**(told | fields))
        await self.say(grants=[grant])
        return grant

    async def cancel(self, attempt_id: str, fence: int = 7, reason: str = "told to") -> None:
        """Ask to stop an attempt."""
        cancel = pb.CancelAttempt(attempt_id=attempt_id, fence=fence, reason=reason)
        await self.say(directives=[pb.Directive(cancel=cancel)])

    async def result(self, attempt_id: str) -> pb.AttemptResult:
        """Wait for the end of an attempt."""
        await self.until(lambda: attempt_id in self.results, f"the result of {attempt_id}")
        return self.results[attempt_id]

    async def until(self, holds: Any, what: str) -> None:
        """Wait until something that was heard makes `holds` true."""
        async with self._news:
            try:
                await asyncio.wait_for(self._news.wait_for(holds), self.wait_s)
            except TimeoutError:
                raise AssertionError(f"waited {self.wait_s:g} s for {what}") from None

    async def tell(self) -> None:
        """Let whoever waits look again."""
        async with self._news:
            self._news.notify_all()

    # The protocol.

    async def Session(self, requests: AsyncIterator[pb.SessionRequest], context: Any) -> Any:  # noqa: N802
        outgoing: asyncio.Queue[pb.SessionResponse] = asyncio.Queue()
        first = await anext(aiter(requests))
        if not first.HasField("hello"):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message must carry hello")
        reading = asyncio.create_task(self._hear(_all(first, requests), outgoing))
        try:
            while True:
                yield await outgoing.get()
        finally:
            reading.cancel()
            if self._outgoing is outgoing:
                self._outgoing = None

    async def _hear(
        self, requests: AsyncIterator[pb.SessionRequest], outgoing: asyncio.Queue[pb.SessionResponse]
    ) -> None:
        async for message in requests:
            assert message.ByteSize() <= 64 * 1024
            if message.HasField("hello"):
                welcome = pb.Welcome(
                    agent_id="ag_1",
                    heartbeat_s=self.heartbeat_s,
                    disconnected_max_s=self.disconnected_max_s,
                    controlplane_version="test",
                )
                outgoing.put_nowait(pb.SessionResponse(welcome=welcome))
                self.hellos.append(message.hello)
                self.releases.append(message.hello.release)
                self._outgoing = outgoing
            answer = pb.SessionResponse()
            if message.HasField("heartbeat"):
                self.beats += 1
                if message.heartbeat.HasField("release"):
                    self.releases.append(message.heartbeat.release)
                for held in message.heartbeat.held if self.renewing else ():
                    answer.renewals.add(
                        attempt_id=held.attempt_id,
                        fence=held.fence,
                        ttl_s=TTL_S,
                        asked_in_sequence=message.sequence,
                    )
            for progress in message.progress:
                self.progress[progress.attempt_id] = progress
                if progress.started:
                    self.started.add(progress.attempt_id)
            for result in message.results:
                self.results[result.attempt_id] = result
                self.times_told[result.attempt_id] = self.times_told.get(result.attempt_id, 0) + 1
                if self.acknowledging:
                    answer.acknowledged_attempt_ids.append(result.attempt_id)
            if answer.ByteSize():
                outgoing.put_nowait(answer)
            async with self._news:
                self._news.notify_all()

    async def Logs(self, requests: AsyncIterator[pb.LogsRequest], context: Any) -> Any:  # noqa: N802
        async for piece in requests:
            if piece.attempt_id in self.logs_refused:
                await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{piece.attempt_id} is not this agent's")
            self.logs[piece.attempt_id] = self.logs.get(piece.attempt_id, b"") + piece.data
            self.dropped_bytes += piece.dropped_bytes
            if piece.last:
                self.logs_ended.add(piece.attempt_id)
            async with self._news:
                self._news.notify_all()
            yield pb.LogsResponse(attempt_id=piece.attempt_id, stored_offset=piece.offset + len(piece.data))


async def _all(first: pb.SessionRequest, rest: AsyncIterator[pb.SessionRequest]) -> AsyncIterator[pb.SessionRequest]:
    yield first
    async for each in rest:
        yield each


class _Boxes(black_box_pb2_grpc.BlackBoxServiceServicer):
    """Takes black boxes for a listener."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener

    async def ReportBlackBox(self, requests: AsyncIterator[Any], context: Any) -> Any:  # noqa: N802
        request_id, data = "", b""
        async for piece in requests:
            request_id, data = piece.request_id, data + piece.data
        self._listener.boxes[request_id] = data
        await self._listener.tell()
        yield black_box_pb2.ReportBlackBoxResponse(stored_bytes=len(data))
