"""Who may not come in is told why in one line, with the right exit code, and disturbs nobody."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from haulier.v1 import agent_pb2, agent_pb2_grpc
from haulier.v1 import operator_pb2 as op

from controlplane.identity.authority import CertificateAuthority
from tests.kit.processes import end, program, start, until
from tests.system.scene import Said, Scene, migration

LARGE_BYTES = 64 * 1024 * 1024
MEMORY_BYTES_MAX = 192 * 1024 * 1024


def join(scene: Scene, token: str, name: str, state: Path) -> Said:
    """Run `haulier-agentd join`."""
    return scene.run([*program("agentd"), "join", "-", "--name", name, "--state", str(state)], stdin=token + "\n")


def token_for(scene: Scene, name: str, ttl_s: float = 0.0) -> str:
    """Return a join token."""
    request = op.CreateJoinTokenRequest(agent_name=name, ttl_s=ttl_s)
    return str(scene.ask(request, op.CreateJoinTokenResponse)["token"])


def assert_one_line(said: Said, code: int, *words: str) -> None:
    """One line on standard error that says all the words, and this exit code."""
    assert said.code == code, said
    assert len(said.err.strip().splitlines()) == 1, said.err
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err, said.err


@pytest.fixture(autouse=True)
def _nobody_is_disturbed(scene: Scene) -> Iterator[None]:
    """The agents that belong here stay connected, and no stranger is among them."""
    yield
    agents = scene.ask(op.ListAgentsRequest(), op.ListAgentsResponse)["agents"]
    assert {a["name"] for a in agents if a["liveness"].startswith("alive")} >= {"alpha", "holder"}


def test_a_stale_token(scene: Scene, tmp_path: Path) -> None:
    token = token_for(scene, "late", ttl_s=1.0)
    dead_at = time.monotonic() + 1.5
    until(lambda: time.monotonic() > dead_at, 5.0, "the token to run out")
    said = join(scene, token, "late", tmp_path / "state")
    assert_one_line(said, 1, "expired", "ask for a new one")
    assert token not in said.err + said.out
    assert not (tmp_path / "state" / "identity.json").exists()


def test_a_stolen_token(scene: Scene, tmp_path: Path) -> None:
    token = token_for(scene, "owner")
    assert join(scene, token, "owner", tmp_path / "owner").code == 0
    thief = join(scene, token, "owner", tmp_path / "thief")
    assert_one_line(thief, 1, "used")
    assert token not in thief.err + thief.out
    assert not (tmp_path / "thief" / "identity.json").exists()


def test_a_token_for_another_name_and_none_at_all(scene: Scene, tmp_path: Path) -> None:
    assert_one_line(join(scene, token_for(scene, "rightful"), "usurper", tmp_path / "a"), 1, "another name")
    assert_one_line(join(scene, "not-a-token", "nobody", tmp_path / "b"), 3, "token")
    taken = join(scene, token_for(scene, "alpha"), "alpha", tmp_path / "c")
    assert_one_line(taken, 1, "alpha")


def agent_with(scene: Scene, state: Path) -> list[str]:
    """The command of an agent that has alpha's configuration and this state."""
    config = scene.world.root / "agents" / "alpha" / "agent.toml"
    return [*program("agentd"), "run", "--state", str(state), "--config", str(config)]


def test_an_agent_without_a_certificate(scene: Scene, tmp_path: Path) -> None:
    assert_one_line(scene.run(agent_with(scene, tmp_path)), 3, "haulier-agentd join")
    addresses = json.loads((scene.world.root / "controlplane" / "listening.json").read_text())
    ca = (scene.world.root / "agents" / "alpha" / "state" / "ca.pem").read_bytes()
    with grpc.secure_channel(_address(addresses), grpc.ssl_channel_credentials(ca)) as channel:
        call = agent_pb2_grpc.AgentServiceStub(channel).Session(iter([]), timeout=10)
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def _address(listening: dict[str, object]) -> str:
    return f"127.0.0.1:{listening['agents']}"


def test_an_agent_with_a_foreign_authoritys_certificate(scene: Scene, tmp_path: Path) -> None:
    """It says once per try why it is not let in, keeps trying at a decent pace, and ends when asked."""
    known = scene.world.root / "agents" / "alpha" / "state"
    for name in ("identity.json", "ca.pem"):
        shutil.copy(known / name, tmp_path / name)
    identity = json.loads((known / "identity.json").read_text())
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    foreign = CertificateAuthority.create(now=0.0, serial=1)
    certificate = foreign.issue_agent(
        request.public_bytes(serialization.Encoding.PEM),
        agent_id=identity["agent_id"],
        agent_name="alpha",
        not_before_at=0.0,
        not_after_at=4e9,
        serial=2,
    )
    (tmp_path / "certificate.pem").write_bytes(certificate)
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain))
    log = tmp_path / "log"
    pid = start(agent_with(scene, tmp_path), log)
    try:
        until(lambda: "certificate" in log.read_text(), 30.0, "a refusal", log)
        check = scene.run([*program("agentd"), "check", "--state", str(tmp_path)])
        assert_one_line(check, 1, "not ready")
    finally:
        end(pid, 15.0)
    text = log.read_text()
    assert "Traceback" not in text and len(text.splitlines()) < 40, text
    assert "join again with a token" in text, text


def test_64_mib_of_manifest_are_refused_here(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(LARGE_BYTES)
    said = scene.haulier("apply", str(path))
    assert said.code == 2, said
    assert "Traceback" not in said.err and "MiB" in said.err, said.err


def test_64_mib_on_an_agents_stream_are_refused_and_cost_no_memory(scene: Scene) -> None:
    known = scene.world.root / "agents" / "alpha" / "state"
    addresses = json.loads((scene.world.root / "controlplane" / "listening.json").read_text())
    credentials = grpc.ssl_channel_credentials(
        *((known / name).read_bytes() for name in ("ca.pem", "key.pem", "certificate.pem"))
    )
    hello = agent_pb2.SessionRequest(sequence=1, hello=agent_pb2.Hello(agent_version="x" * LARGE_BYTES))
    options = [("grpc.max_send_message_length", -1)]
    pid = scene.world.pid("controlplane")
    before = psutil.Process(pid).memory_info().rss
    with grpc.secure_channel(_address(addresses), credentials, options=options) as channel:
        for _ in range(3):
            call = agent_pb2_grpc.AgentServiceStub(channel).Session(iter([hello]), timeout=60)
            with pytest.raises(grpc.RpcError) as caught:
                next(call)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "larger than max" in str(caught.value.details())
    assert psutil.Process(pid).memory_info().rss - before < MEMORY_BYTES_MAX


def test_work_goes_on_after_all_of_them(scene: Scene) -> None:
    place = scene.place("parquet", "after-strangers")
    scene.apply(scene.datastore_of(place), migration("after-strangers", place))
    scene.start("after-strangers")
    scene.require_end(["after-strangers"], "MigrationSucceeded", 60.0)
    assert "Traceback" not in scene.log("controlplane")


def test_a_copy_of_a_state_directory_is_named_by_everybody(scene: Scene, tmp_path: Path) -> None:
    """On one host and one boot: the copy begins with the higher incarnation, and wins nothing by it."""
    scene.add_agent("copied", {"zone": "nowhere"})
    scene.await_agents()
    state, copy, log = scene.world.root / "agents" / "copied" / "state", tmp_path / "copy", tmp_path / "log"
    shutil.copytree(state, copy, ignore=shutil.ignore_patterns("*.socket"))
    pid = start(agent_with(scene, copy), log)
    try:
        until(
            lambda: "is cloned" in log.read_text() and "is cloned" in scene.log("copied"), 60.0, "both to be told", log
        )
    finally:
        end(pid, 15.0)
        scene.world.kill("copied")
    agents = scene.ask(op.ListAgentsRequest(), op.ListAgentsResponse)["agents"]
    shown = next(each["state"] for each in agents if each["name"] == "copied")
    assert shown.startswith("cloned: two daemons on one host show its identity")
    events = scene.haulier("events", "--subject", "copied").out
    for text in (shown, log.read_text(), scene.log("copied"), events, scene.log("controlplane")):
        told = " ".join(text.split())
        assert str(state) in told and str(copy) in told, told
