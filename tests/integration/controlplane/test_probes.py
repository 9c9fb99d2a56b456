"""Probes as those ask who need them: HTTP, gRPC health, the command; bounded, and honest about a full disk."""

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.integration.controlplane.program import Serving, controlplane, serving
from tests.kit.processes import program, until

HTTP = {"HAULIER_CONTROLPLANE_PROBES_HTTP_LISTEN": "127.0.0.1:0"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state of a new control plane."""
    made = tmp_path / "state"
    assert controlplane("init", "--state", made).code == 0
    return made


@pytest.fixture
def running(state: Path) -> Iterator[Serving]:
    """A control plane that serves, with HTTP probes."""
    with serving(state, **HTTP) as found:
        yield found


def ports(state: Path) -> dict[str, int]:
    found: dict[str, int] = json.loads((state / "listening.json").read_text())
    return found


def ask(state: Path, path: str, method: str = "GET") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", ports(state)["http"], timeout=20)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Content-Type", ""), answer.read().decode()
    finally:
        connection.close()


def raw(state: Path, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", ports(state)["http"]), timeout=20) as asked:
        asked.sendall(sent)
        answer = b""
        while more := asked.recv(65536):
            answer += more
    return answer


def health(state: Path, service: str) -> int:
    with grpc.insecure_channel(f"127.0.0.1:{ports(state)['probes']}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return int(stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=20).status)


@pytest.mark.usefixtures("running")
def test_a_healthy_control_plane(state: Path) -> None:
    assert ask(state, "/livez") == (200, "text/plain; charset=utf-8", "live\n")
    status, kind, body = ask(state, "/readyz?json")
    assert (status, kind) == (200, "application/json")
    assert json.loads(body)["ready"] is True
    assert ask(state, "/readyz", "HEAD") == (200, "text/plain; charset=utf-8", "")
    for probe in ("liveness", "readiness"):
        assert controlplane("check", "--probe", probe, "--state", state).code == 0
    said = controlplane("check", "-o", "json", "--state", state)
    assert json.loads(said.out)["ok"] is True
    assert health(state, "") == health(state, "haulier.v1.AgentService") == health_pb2.HealthCheckResponse.SERVING
    status, kind, body = ask(state, "/metrics")
    assert status == 200 and "version=0.0.4" in kind
    samples = {line.split(" ")[0]: float(line.split(" ")[1]) for line in body.splitlines() if not line.startswith("#")}
    assert samples["haulier_ready"] == 1 and samples["haulier_sessions"] == 0
    assert 'haulier_loop_age_seconds{loop="lease_reaper"}' in samples


@pytest.mark.usefixtures("running")
def test_requests_that_are_none(state: Path) -> None:
    assert ask(state, "/else")[0] == 404
    assert raw(state, b"POST /livez HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")
    assert raw(state, b"what is this\r\n\r\n").startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert raw(state, b"GET /livez HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n") == b""
    assert ask(state, "/livez")[0] == 200


def test_a_full_disk_is_not_ready_but_alive_and_heals_by_itself(state: Path, running: Serving) -> None:
    running.disk_is_full(True)
    until(lambda: ask(state, "/readyz")[0] == 503, 60.0, "the full disk to be noticed")
    body = ask(state, "/readyz")[2]
    assert "blocks store: the store could not write" in body
    checked = controlplane("check", "--state", state)
    assert checked.code == 1 and "could not write" in checked.err
    assert ask(state, "/livez")[0] == 200 and controlplane("check", "--probe", "liveness", "--state", state).code == 0
    serving_not = health_pb2.HealthCheckResponse.NOT_SERVING
    until(lambda: health(state, "haulier.v1.AgentService") == serving_not, 30.0, "gRPC health to say so")
    assert health(state, "") == health_pb2.HealthCheckResponse.SERVING
    running.disk_is_full(False)
    until(lambda: ask(state, "/readyz")[0] == 200, 60.0, "it to be ready again")


def test_nobody_answers(state: Path) -> None:
    done = controlplane("check", "--state", state)
    assert done.code == 4 and "no control plane serves" in done.line
    with serving(state):
        done = controlplane("check", "--state", state)
        assert done.code == 3 and "probes_http_listen is not set" in done.line


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
@pytest.mark.parametrize("advertised", ["::1", "[::1]"])
def test_everything_is_reached_by_ipv6_too(tmp_path: Path, advertised: str) -> None:
    """With and without brackets: the probes, an operator's profile, a join token, the address of sessions."""
    state, listens = tmp_path / "state", {"ADVERTISED_HOST": advertised}
    listens |= {f"{name}_LISTEN": "[::1]:0" for name in ("AGENTS", "PUBLIC", "PROBES", "PROBES_HTTP")}
    variables = {f"HAULIER_CONTROLPLANE_{name}": value for name, value in listens.items()}
    assert controlplane("init", "--state", state, env=variables).code == 0
    with serving(state, **variables):
        assert controlplane("check", "--state", state).code == 0
        profile = state / "operator.json"
        told = json.loads(profile.read_text())
        assert told["address"].startswith("[::1]:")
        profile.write_text(json.dumps({**told, "address": f"[::1]:{ports(state)['public']}"}))
        token = ended("controlplane.cli.main", "token", "create", "--agent", "edge", "--profile", profile)
        agent = tmp_path / "agent"
        token = next(word for word in token.split() if word.startswith("haulier-join."))
        assert "[::1]:" in ended("agentd", "join", token, "--name", "edge", "--state", agent)
        identity = json.loads((agent / "identity.json").read_text())
        assert identity["session_address"] == f"[::1]:{ports(state)['agents']}"


def ended(module: str, *arguments: str | Path) -> str:
    """What one of our programs prints that ends well."""
    done = subprocess.run(
        [*program(module), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
