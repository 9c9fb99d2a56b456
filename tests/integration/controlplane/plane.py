"""A real control plane inside the test: real listeners on loopback with real TLS, and real channels to them."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from haulier.v1 import access_pb2_grpc, agent_pb2_grpc, operator_pb2, operator_pb2_grpc
from haulier.v1 import agent_pb2 as pb

from controlplane.admin.init import PROFILE_FILE, initialise
from controlplane.config import Config
from controlplane.core.model import StepPlan
from controlplane.host.state_layout import IDENTITY_DIR, STORE_FILE
from controlplane.identity.authority import CertificateAuthority
from controlplane.identity.roles import Role
from controlplane.serve import ControlPlane
from controlplane.service.agents.offers import NewWork
from controlplane.service.health.doctor import findings
from controlplane.service.migrations.migrations import insert_plan
from controlplane.service.steps.advancing import advance
from controlplane.store.port import Tx
from controlplane.store.sqlite.store import open_snapshot
from tests.kit.builders import a_migration
from tests.kit.running import WAIT_S, soon, until

CALL_S = 20.0
LOCAL = (("grpc.use_local_subchannel_pool", 1),)


class Key:
    """A private key of a host."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.pem = self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def request(self) -> bytes:
        """A certificate signing request, PEM."""
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "host")])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(self._key, hashes.SHA256())
        return request.public_bytes(serialization.Encoding.PEM)


class Joined:
    """An identity as a host keeps it."""

    def __init__(self, agent_id: str, key: Key, certificate_pem: bytes) -> None:
        self.id = agent_id
        self.key = key
        self.certificate_pem = certificate_pem


class Talk:
    """One session from the agent's side; everything it heard is kept."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.sequence = 0
        self.welcome: pb.Welcome | None = None
        self.grants: list[pb.LeaseGrant] = []
        self.acknowledged: list[str] = []
        self.renewals: list[pb.LeaseRenewal] = []
        self.cancels: list[pb.CancelAttempt] = []
        self.asks: list[str] = []

    async def say(self, **fields: Any) -> int:
        """Send one message; return its sequence."""
        self.sequence += 1
        await self.call.write(pb.SessionRequest(sequence=self.sequence, **fields))
        return self.sequence

    async def hear(self, bound_s: float = WAIT_S) -> pb.SessionResponse:
        """Wait for the next message."""
        message: pb.SessionResponse = await soon(aiter(self.call), bound_s)
        if message.HasField("welcome"):
            self.welcome = message.welcome
        self.renewals += message.renewals
        self.acknowledged += message.acknowledged_attempt_ids
        self.grants += message.grants
        for directive in message.directives:
            ask = directive.WhichOneof("ask")
            self.asks.append(ask)
            if ask == "cancel":
                self.cancels.append(directive.cancel)
        return message

    async def hear_until(self, holds: Any) -> None:
        """Take in messages until ``holds()``."""
        while not holds():
            await self.hear()

    async def granted(self, number: int = 1) -> list[pb.LeaseGrant]:
        """Wait until ``number`` leases were granted in all."""
        await self.hear_until(lambda: len(self.grants) >= number)
        return self.grants

    async def report(self, *grants: pb.LeaseGrant, outcome: Any = pb.ATTEMPT_OUTCOME_SUCCEEDED, **fields: Any) -> None:
        """Report the end of attempts."""
        await self.say(
            results=[
                pb.AttemptResult(**{"attempt_id": grant.attempt_id, "fence": grant.fence, "outcome": outcome, **fields})
                for grant in grants
            ]
        )

    async def settled(self, *grants: pb.LeaseGrant, **fields: Any) -> None:
        """Report the end of attempts and wait for their acknowledgement."""
        before = len(self.acknowledged)
        await self.report(*grants, **fields)
        await self.hear_until(lambda: len(self.acknowledged) >= before + len(grants))

    async def status(self) -> tuple[grpc.StatusCode, str]:
        """Wait for the end of the stream; return how it ended."""
        try:
            while True:
                await self.hear()
        except StopAsyncIteration:
            return grpc.StatusCode.OK, ""
        except grpc.aio.AioRpcError as error:
            return error.code(), error.details() or ""


def a_hello(**changes: Any) -> pb.Hello:
    """An agent with four slots that can run every built-in kind anywhere."""
    fields: dict[str, Any] = {
        "incarnation": 1,
        "agent_version": "0",
        "kinds": ["extract", "transform", "load", "validate"],
        "datastores": ["*"],
        "slots": 4,
        "boot_id": "boot-1",
    }
    return pb.Hello(**{**fields, **changes})


class Running:
    """A serving control plane and what a test needs to reach it."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.state = plane.config.state_dir
        self.profile = json.loads((self.state / PROFILE_FILE).read_text())
        self.ca = self.profile["ca_pem"].encode()
        self._channels: list[Any] = []

    @property
    def public_address(self) -> str:
        """Where newcomers and operators call."""
        return f"localhost:{self.plane.listeners.public_port}"

    @property
    def agents_address(self) -> str:
        """Where agents call."""
        return f"localhost:{self.plane.listeners.agents_port}"

    def channel(self, address: str, credentials: Any = None, *options: Any) -> Any:
        """A channel that is closed with the plane; no credentials mean no TLS."""
        every = (*LOCAL, *options)
        channel = (
            grpc.aio.secure_channel(address, credentials, options=every)
            if credentials
            else grpc.aio.insecure_channel(address, options=every)
        )
        self._channels.append(channel)
        return channel

    def listener(self, *options: Any) -> Any:
        """A channel to the listener, as newcomers and operators have it."""
        return self.channel(self.public_address, grpc.ssl_channel_credentials(self.ca), *options)

    def agents(self, joined: Joined | None = None, ca: bytes | None = None) -> Any:
        """A channel to the agents' listener; without ``joined`` it shows no certificate."""
        pair = (joined.key.pem, joined.certificate_pem) if joined else (None, None)
        return self.channel(self.agents_address, grpc.ssl_channel_credentials(ca or self.ca, *pair))

    def operators(self, channel: Any = None) -> Any:
        """The operator service."""
        return operator_pb2_grpc.OperatorServiceStub(channel or self.listener())

    def access(self, channel: Any = None) -> Any:
        """The access service."""
        return access_pb2_grpc.AccessServiceStub(channel or self.listener())

    async def token(self, role: Role, name: str = "ada", **more: Any) -> tuple[tuple[str, str], ...]:
        """Metadata of a caller with ``role``."""
        return bearer((await self.plane.operators.create(name, role, **more))[0])

    @property
    def administrator(self) -> tuple[tuple[str, str], ...]:
        """Metadata of the administrator that ``init`` made."""
        return bearer(self.profile["token"])

    async def ask(self, method: str, request: Any, metadata: Any = None) -> Any:
        """Call a unary method of the operator service as the administrator."""
        call = getattr(self.operators(), method)
        return await call(request, timeout=CALL_S, metadata=metadata or self.administrator)

    async def join_token(self, agent_name: str = "", ttl_s: float = 0.0) -> str:
        """A fresh join token."""
        request = operator_pb2.CreateJoinTokenRequest(agent_name=agent_name, ttl_s=ttl_s)
        return str((await self.ask("CreateJoinToken", request)).token)

    async def enroll(self, **changes: Any) -> pb.EnrollResponse:
        """Call Enroll with a fresh token, key and id, unless ``changes`` says otherwise."""
        fields = {"request_id": "r1", "agent_name": "host-1", **changes}
        fields.setdefault("csr_pem", Key().request())
        if "token" not in fields:
            fields["token"] = await self.join_token()
        stub = agent_pb2_grpc.AgentServiceStub(self.listener())
        answer: pb.EnrollResponse = await stub.Enroll(pb.EnrollRequest(**fields), timeout=CALL_S)
        return answer

    async def join(self, name: str = "host-1") -> Joined:
        """Make a host an agent."""
        key = Key()
        answer = await self.enroll(agent_name=name, csr_pem=key.request(), request_id=f"join-{name}")
        return Joined(answer.agent_id, key, answer.certificate_pem)

    def certify(self, agent_id: str, *, ends_in_s: float, key: Key | None = None) -> Joined:
        """An identity with a certificate of another life, by the plane's own authority."""
        key = key or Key()
        now = time.time()
        certificate = CertificateAuthority.load(self.state / IDENTITY_DIR).issue_agent(
            key.request(),
            agent_id=agent_id,
            agent_name="host-1",
            not_before_at=now - 60.0,
            not_after_at=now + ends_in_s,
            serial=77,
        )
        return Joined(agent_id, key, certificate)

    def call(self, joined: Joined, channel: Any = None) -> Talk:
        """Open a session stream and say nothing yet."""
        return Talk(agent_pb2_grpc.AgentServiceStub(channel or self.agents(joined)).Session())

    async def talk(self, joined: Joined, channel: Any = None, **hello: Any) -> Talk:
        """Open a session, say hello, wait for welcome."""
        talk = self.call(joined, channel)
        await talk.say(hello=a_hello(**hello))
        await talk.hear()
        assert talk.welcome is not None
        return talk

    async def start(self, *plans: StepPlan, name: str = "m1") -> str:
        """Start a migration of these steps, past the manifests; return its id."""
        now = self.plane.clock()

        def insert(tx: Tx) -> NewWork:
            work = NewWork(tx.next_ids("mig_", 1))
            migration = a_migration(id=work.migration_ids[0], name=name, created_at=now)
            tx.insert_migration(migration)
            insert_plan(tx, migration, plans, work.classes, now)
            work.readied += advance(tx, migration.id, now)
            return work

        work = await self.plane.store.write(insert)
        self.plane.sessions.offers.take_work(work)
        return work.migration_ids[0]

    async def state_of(self, migration_id: str) -> str:
        """The state of a migration."""
        migration = await self.plane.store.read(lambda tx: tx.migration(migration_id))
        assert migration is not None
        return str(migration.state)

    async def events(self, subject: str = "") -> list[Any]:
        """Every event, of one subject or of all."""
        found = await self.plane.store.read(lambda tx: tx.events_after(0, subject, 100_000))
        return [event for _, event in found]

    async def gone(self, joined: Joined) -> None:
        """Wait until the plane has noticed the end of an agent's stream."""
        await until(lambda: joined.id not in self.plane.sessions.by_agent, "the end of the session")

    def doctor(self) -> list[Any]:
        """What the doctor finds."""
        return list(findings(open_snapshot(self.state / STORE_FILE)))

    async def close(self) -> None:
        """Close the channels, then stop the plane."""
        for channel in self._channels:
            await channel.close()
        await self.plane.stop()


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Metadata that carries an operator's token."""
    return (("authorization", f"Bearer {token}"),)


def config_for(state: Path, **settings: Any) -> Config:
    """Settings of a plane on free ports of loopback."""
    fields: dict[str, Any] = {
        "state_dir": state,
        "agents_listen": "127.0.0.1:0",
        "public_listen": "127.0.0.1:0",
        "probes_listen": "127.0.0.1:0",
        "stop_grace_s": 2.0,
        **settings,
    }
    return Config(**fields)


@asynccontextmanager
async def serving(state: Path, **settings: Any) -> AsyncIterator[Running]:
    """A control plane on ``state``, made when it is new; afterwards it is stopped and the doctor finds nothing."""
    config = config_for(state, **settings)
    if not (state / PROFILE_FILE).exists():
        await initialise(config)
    plane = ControlPlane(config)
    await plane.start()
    running = Running(plane)
    try:
        yield running
    finally:
        await running.close()
    assert running.doctor() == []


async def refusal(call: Any) -> tuple[grpc.StatusCode, str]:
    """Await a call that must fail; return its status."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError("the call was answered")
