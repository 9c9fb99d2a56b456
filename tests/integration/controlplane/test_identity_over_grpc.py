"""Certificates from our authority, as gRPC itself sees them: real servers and channels on loopback."""

import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from controlplane.identity.authority import CertificateAuthority, ServerCredentials
from controlplane.identity.peers import identity_of_peer

WHO = "/haulier.test/Who"
TIMEOUT_S = 20.0
HOUR_S = 3600.0


class World:
    """One authority, its control plane's credentials, and agents that joined."""

    def __init__(self) -> None:
        # gRPC checks lifetimes by the real clock.
        self.now = time.time()
        self.authority = CertificateAuthority.create(now=self.now - HOUR_S, serial=1)
        self.controlplane: ServerCredentials = self.authority.issue_controlplane(
            [], not_before_at=self.now - HOUR_S, not_after_at=self.now + HOUR_S, serial=2
        )

    def agent(self, agent_id: str, *, ends_in_s: float = HOUR_S) -> tuple[bytes, bytes]:
        """Key and certificate, PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        certificate = self.authority.issue_agent(
            request.public_bytes(serialization.Encoding.PEM),
            agent_id=agent_id,
            agent_name="host-1",
            not_before_at=self.now - HOUR_S,
            not_after_at=self.now + ends_in_s,
            serial=3,
        )
        key_pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return key_pem, certificate


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def who(_request: bytes, context: grpc.ServicerContext) -> bytes:
    identity = identity_of_peer(context.auth_context())
    return b"nobody" if identity is None else f"{identity.kind} {identity.id}".encode()


@contextmanager
def served(key_pem: bytes, chain_pem: bytes, client_ca_pem: bytes | None) -> Iterator[str]:
    """A server that tells callers who they are; yields its address."""
    credentials = grpc.ssl_server_credentials(
        [(key_pem, chain_pem)], client_ca_pem, require_client_auth=client_ca_pem is not None
    )
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    handler = grpc.unary_unary_rpc_method_handler(who)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("haulier.test", {"Who": handler})])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield f"localhost:{port}"
    finally:
        server.stop(grace=None).wait(TIMEOUT_S)


def ask(address: str, ca_pem: bytes, agent: tuple[bytes, bytes] | None) -> str:
    key_pem, certificate_pem = agent or (None, None)
    credentials = grpc.ssl_channel_credentials(ca_pem, key_pem, certificate_pem)
    with grpc.secure_channel(address, credentials) as channel:
        answer: bytes = channel.unary_unary(WHO)(b"", timeout=TIMEOUT_S)
    return answer.decode()


def refused(address: str, ca_pem: bytes, agent: tuple[bytes, bytes] | None) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        ask(address, ca_pem, agent)
    code: grpc.StatusCode = caught.value.code()
    return code


def test_an_agent_is_known_by_its_certificate(world: World) -> None:
    ca_pem = world.authority.certificate_pem
    with served(world.controlplane.key_pem, world.controlplane.chain_pem, ca_pem) as address:
        assert ask(address, ca_pem, world.agent("ag_one")) == "agent ag_one"
        assert ask(address, ca_pem, world.agent("ag_two")) == "agent ag_two"


def test_the_listener_lets_people_in_without_a_certificate(world: World) -> None:
    with served(world.controlplane.key_pem, world.controlplane.chain_pem, None) as address:
        assert ask(address, world.authority.certificate_pem, None) == "nobody"


def test_the_agents_listener_refuses_who_has_no_good_certificate(world: World) -> None:
    ca_pem = world.authority.certificate_pem
    with served(world.controlplane.key_pem, world.controlplane.chain_pem, ca_pem) as address:
        stranger = World().agent("ag_one")
        ended = world.agent("ag_one", ends_in_s=-60.0)
        # The control plane's own certificate is for servers: whoever stole it is still no agent.
        stolen = (world.controlplane.key_pem, world.controlplane.chain_pem)
        for agent in (None, stranger, ended, stolen):
            assert refused(address, ca_pem, agent) is grpc.StatusCode.UNAVAILABLE


def test_an_agent_cannot_pass_for_a_control_plane(world: World) -> None:
    key_pem, certificate_pem = world.agent("ag_evil")
    with served(key_pem, certificate_pem + world.authority.certificate_pem, None) as address:
        assert refused(address, world.authority.certificate_pem, None) is grpc.StatusCode.UNAVAILABLE


def test_another_authoritys_control_plane_is_not_trusted(world: World) -> None:
    other = World()
    with served(other.controlplane.key_pem, other.controlplane.chain_pem, None) as address:
        assert refused(address, world.authority.certificate_pem, None) is grpc.StatusCode.UNAVAILABLE
