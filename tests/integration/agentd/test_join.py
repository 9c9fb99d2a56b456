"""Joining over real TLS: the pin decides whom to believe before anything is said."""

import asyncio
import datetime
import hashlib
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import agent_pb2_grpc

from agentd.link import identity_files
from agentd.link.join import BadToken, JoinFailed, join, parse
from agentd.link.proxies import BadProxy
from tests.integration.agentd.listener import Pair, certify
from tests.kit.web_proxy import web_proxy

SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


class EnrolmentListener(agent_pb2_grpc.AgentServiceServicer):
    """A listener that signs what it is asked to sign, unless told otherwise."""

    def __init__(self) -> None:
        self.ca = certify("authority")
        self.requests: list[pb.EnrollRequest] = []
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self.signer: Pair = self.ca
        self.certified: Any = None
        self.shown: Pair | None = None
        self.listens = "127.0.0.1"
        self.port = 0

    async def Enroll(self, request: pb.EnrollRequest, context: Any) -> pb.EnrollResponse:  # noqa: N802
        self.requests.append(request)
        if self.refusal is not None:
            await context.abort(*self.refusal)
        asked = x509.load_pem_x509_csr(request.csr_pem)
        begins = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
        signed = (
            x509.CertificateBuilder()
            .subject_name(asked.subject)
            .issuer_name(self.signer.certificate.subject)
            .public_key(self.certified or asked.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + datetime.timedelta(days=1))
            .sign(self.signer.key, hashes.SHA256())
        )
        return pb.EnrollResponse(
            agent_id="ag_7",
            certificate_pem=signed.public_bytes(serialization.Encoding.PEM),
            ca_pem=self.ca.pem,
            session_address="agents.example:7101",
            certificate_ttl_s=3600.0,
        )

    @property
    def token(self) -> str:
        der = self.ca.certificate.public_bytes(serialization.Encoding.DER)
        return f"haulier-join.{self.listens}:{self.port}.{SECRET}.{hashlib.sha256(der).hexdigest()}"

    async def _serve(self, client: Callable[[], Awaitable[None]]) -> None:
        own = self.shown or certify("controlplane", self.ca)
        server = grpc.aio.server()
        agent_pb2_grpc.add_AgentServiceServicer_to_server(self, server)
        credentials = grpc.ssl_server_credentials([(own.key_pem, own.pem + self.ca.pem)])
        self.port = server.add_secure_port(f"{self.listens}:0", credentials)
        await server.start()
        try:
            await client()
        finally:
            await server.stop(0)

    def during(self, client: Callable[[], object]) -> None:
        """Run a blocking client while the listener is open."""

        async def on_thread() -> None:
            with ThreadPoolExecutor(1) as thread:
                await asyncio.get_running_loop().run_in_executor(thread, client)

        asyncio.run(self._serve(on_thread))


def test_a_token_becomes_an_identity(tmp_path: Path) -> None:
    listener, state = EnrolmentListener(), tmp_path / "state"

    def client() -> None:
        joined = join(listener.token, "host-1", state)
        assert (joined.agent_id, joined.name, joined.session_address) == ("ag_7", "host-1", "agents.example:7101")
        (state / "journal.db").write_bytes(b"kept")
        first = (state / "key.pem").read_bytes()
        # Again: the same agent with another identity; its journal stays, and a name is not needed.
        assert join(listener.token, "", state) == joined
        assert (state / "key.pem").read_bytes() != first
        assert (state / "journal.db").read_bytes() == b"kept"
        (state / "journal.db").unlink()
        with pytest.raises(JoinFailed, match="belongs to host-1"):
            join(listener.token, "host-2", state)

    listener.during(client)
    assert listener.requests[0].agent_name == "host-1"
    assert {path.name for path in state.iterdir()} == {"key.pem", "certificate.pem", "ca.pem", "identity.json"}
    for path in state.iterdir():
        assert path.stat().st_mode & 0o077 == 0
        assert SECRET.encode() not in path.read_bytes()
    key = serialization.load_pem_private_key((state / "key.pem").read_bytes(), None)
    certificate = x509.load_pem_x509_certificate((state / "certificate.pem").read_bytes())
    assert key.public_key() == certificate.public_key()
    assert (state / "ca.pem").read_bytes().split() == listener.ca.pem.split()


def test_a_join_that_was_refused_asks_again_with_the_same_key(tmp_path: Path) -> None:
    listener, state = EnrolmentListener(), tmp_path / "state"
    listener.refusal = (grpc.StatusCode.UNAVAILABLE, "not just now")

    def client() -> None:
        with pytest.raises(JoinFailed, match="not just now") as caught:
            join(listener.token, "host-1", state)
        assert SECRET not in str(caught.value)
        assert (
            json.loads((state / "candidate" / "join.json").read_text())["request_id"] == listener.requests[0].request_id
        )
        listener.refusal = None
        join(listener.token, "host-1", state)

    listener.during(client)
    first, second = listener.requests
    assert first.request_id == second.request_id
    assert x509.load_pem_x509_csr(first.csr_pem).public_key() == x509.load_pem_x509_csr(second.csr_pem).public_key()


def test_another_token_is_another_request(tmp_path: Path) -> None:
    listener = EnrolmentListener()
    listener.refusal = (grpc.StatusCode.PERMISSION_DENIED, "this token was used already")

    def client() -> None:
        for token in (listener.token, listener.token.replace(SECRET, "b3RoZXItb3RoZXItb3RoZXItbw==")):
            with pytest.raises(JoinFailed, match="used already"):
                join(token, "host-1", tmp_path / "state")

    listener.during(client)
    assert len({request.request_id for request in listener.requests}) == 2


def test_an_impostor_hears_nothing(tmp_path: Path) -> None:
    listener = EnrolmentListener()

    def client() -> None:
        other = hashlib.sha256(b"another authority").hexdigest()
        with pytest.raises(JoinFailed, match="not the control plane that made this token"):
            join(listener.token.rpartition(".")[0] + "." + other, "host-1", tmp_path / "state")

    listener.during(client)
    assert listener.requests == []
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("wrong", ["signer", "key"])
def test_a_certificate_that_is_not_ours_is_not_kept(tmp_path: Path, wrong: str) -> None:
    listener = EnrolmentListener()
    if wrong == "signer":
        listener.signer = certify("somebody")
    else:
        listener.certified = certify("somebody").key.public_key()

    def client() -> None:
        with pytest.raises(JoinFailed, match="authority" if wrong == "signer" else "another key"):
            join(listener.token, "host-1", tmp_path / "state")

    listener.during(client)
    assert not (tmp_path / "state" / "identity.json").exists()


@contextmanager
def listening() -> Iterator[int]:
    """A port that takes connections and says nothing of TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_who_cannot_be_reached_is_named(tmp_path: Path) -> None:
    with listening() as port:
        pass
    pin = "0" * 64
    with pytest.raises(JoinFailed, match=f"127.0.0.1:{port} cannot be reached: Connection refused"):
        join(f"haulier-join.127.0.0.1:{port}.{SECRET}.{pin}", "host-1", tmp_path)


def test_a_token_is_read_from_the_right() -> None:
    token = parse(f"haulier-join.listener.eu.example.org:7102.{SECRET}.{'AB' * 32}")
    assert (token.host, token.port, token.pin) == ("listener.eu.example.org", 7102, "ab" * 32)
    assert parse(f"haulier-join.[::1]:7102.{SECRET}.{'ab' * 32}").host == "::1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "haulier-join",
        f"haulier-join.host:7102.{SECRET}",
        f"join.host:7102.{SECRET}.{'ab' * 32}",
        f"haulier-join.host.{SECRET}.{'ab' * 32}",
        f"haulier-join.host:0.{SECRET}.{'ab' * 32}",
        f"haulier-join.host:99999.{SECRET}.{'ab' * 32}",
        f"haulier-join.host:7102.{SECRET}.{'ab' * 31}",
        f"haulier-join.host:7102.{SECRET}.{'xy' * 32}",
        f"haulier-join.host:7102.é{SECRET}.{'ab' * 32}",
        "haulier-join.host:7102." + "a" * 5000 + f".{'ab' * 32}",
    ],
)
def test_what_is_no_token_is_not_repeated(text: str) -> None:
    with pytest.raises(BadToken) as caught:
        parse(text)
    assert SECRET not in str(caught.value)


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing of proxies."""
    for name in ("grpc", "https", "http", "all", "no", "no_grpc"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)


@pytest.mark.usefixtures("no_proxies")
def test_a_proxy_of_the_environment_is_not_used_and_named_when_that_may_be_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = EnrolmentListener()
    with web_proxy() as proxy:
        for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "grpc_proxy"):
            monkeypatch.setenv(name, proxy.url)
        listener.during(lambda: join(listener.token, "edge", tmp_path / "state"))
        assert proxy.asked == []
    with pytest.raises(JoinFailed, match=r"grpc_proxy is set and not used.*set --proxy"):
        join(listener.token, "edge", tmp_path / "other")


@pytest.mark.usefixtures("no_proxies")
def test_the_proxy_that_was_asked_for_is_used_for_everything_and_remembered(tmp_path: Path) -> None:
    listener, state = EnrolmentListener(), tmp_path / "state"
    with web_proxy() as proxy:
        with_password = proxy.url.replace("//", "//ada:secret@")
        listener.during(lambda: join(listener.token, "edge", state, with_password))
        targets = [head.split()[1] for head in proxy.asked]
        assert targets == [f"127.0.0.1:{listener.port}"] * 2, "to see the authority, and to enrol"
        assert all("roxy-" in head and "YWRhOnNlY3JldA==" in head for head in proxy.asked), (
            "both times with its password"
        )
        found = identity_files.load(state)
        assert str(found.proxy) == proxy.url, "a password is not shown"
        assert found.proxy is not None and found.proxy.url() == with_password


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize("refuses", ["403 Forbidden", "407 Proxy Authentication Required"])
def test_a_proxy_that_does_not_connect_is_named(tmp_path: Path, refuses: str) -> None:
    listener = EnrolmentListener()
    listener.port = 9
    with web_proxy(refuses) as proxy, pytest.raises(JoinFailed) as caught:
        join(listener.token, "edge", tmp_path / "state", proxy.url.replace("//", "//ada:secret@"))
    assert refuses in str(caught.value) and proxy.url in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["https://p:1", "socks5://p:1", "http://", "http://p:1/path", "http://p:port", "p q"])
def test_what_is_no_proxy_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadProxy, match="http://HOST:PORT"):
        join(EnrolmentListener().token.replace(":0.", ":1."), "edge", tmp_path / "state", text)


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_is_off_is_said_with_both_times(tmp_path: Path, days: int) -> None:
    listener = EnrolmentListener()
    listener.shown = certify("controlplane", listener.ca, begins_in_days=days)
    refused: list[str] = []

    def client() -> None:
        with pytest.raises(JoinFailed) as caught:
            join(listener.token, "edge", tmp_path / "state")
        refused.append(str(caught.value))

    listener.during(client)
    begins = listener.shown.certificate.not_valid_before_utc
    now = datetime.datetime.now(datetime.UTC)
    assert f"good from {begins:%Y-%m-%d %H:%M:%S} UTC" in refused[0]
    assert f"this host's clock shows {now:%Y-%m-%d}" in refused[0]
    assert not listener.requests, "the token was not shown"


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
@pytest.mark.parametrize("written", ["[::1]", "::1"])
def test_an_ipv6_address_works_with_and_without_brackets(tmp_path: Path, written: str) -> None:
    listener = EnrolmentListener()
    listener.listens = "[::1]"
    listener.shown = certify("controlplane", listener.ca, names=["::1"])

    def client() -> None:
        token = listener.token.replace("[::1]", written)
        assert join(token, "edge", tmp_path / "state").agent_id == "ag_7"

    listener.during(client)


def test_an_operator_token_is_told_from_a_join_token() -> None:
    with pytest.raises(BadToken, match=r"this is an operator token.*`haulier token create`"):
        parse(f"haulier-operator.0123456789abcdef.{SECRET}")
