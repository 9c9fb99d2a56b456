"""`haulier-controlplane init | serve | doctor` as real processes: exit codes, one clear line, nothing half-made."""

import json
import re
import resource
import shlex
import signal
import socket
from pathlib import Path

import grpc
import pytest
from haulier.v1 import operator_pb2, operator_pb2_grpc

from controlplane.store.sqlite import library
from tests.integration.controlplane.plane import bearer
from tests.integration.controlplane.program import FREE_PORTS, Ended, Serving, controlplane, serving

UNUSABLE = 3


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state of a new control plane."""
    made = tmp_path / "state"
    assert controlplane("init", "--state", made).code == 0
    return made


def offered(refused: Ended) -> list[str]:
    """The one command of `haulier-controlplane` that a refusal offers."""
    (command,) = re.findall(r"`haulier-controlplane ([^`]+)`", refused.line)
    return shlex.split(command)


def events(state: Path) -> int:
    """How many facts the store holds."""
    connection = library.connect(str(state / "store.db"), writing=False)
    (count,) = connection.execute("SELECT count(*) FROM event").fetchone()
    connection.close()
    return int(count)


def join_token(state: Path) -> str:
    """Ask the serving plane for a join token, which it must write down first."""
    profile = json.loads((state / "operator.json").read_text())
    port = json.loads((state / "listening.json").read_text())["public"]
    credentials = grpc.ssl_channel_credentials(profile["ca_pem"].encode())
    with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
        answer = operator_pb2_grpc.OperatorServiceStub(channel).CreateJoinToken(
            operator_pb2.CreateJoinTokenRequest(), timeout=20.0, metadata=bearer(profile["token"])
        )
    return str(answer.token)


def test_init_makes_a_state_that_only_its_owner_can_read(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state"
    done = controlplane("init", "--state", state)
    assert (done.code, done.err) == (0, "")
    assert f"the administrator's profile is {state / 'operator.json'}" in done.out
    assert f"next: haulier-controlplane serve --state {state}" in done.out
    assert state.stat().st_mode & 0o777 == 0o700
    for name in ("operator.json", "identity/authority.pem"):
        assert (state / name).stat().st_mode & 0o777 == 0o600
    profile = json.loads((state / "operator.json").read_text())
    assert profile["address"] == "localhost:7422"
    assert profile["token"].encode() not in (state / "store.db").read_bytes()
    assert profile["token"] not in done.out


def test_a_second_init_changes_nothing(state: Path) -> None:
    def kept() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in state.rglob("*") if path.is_file() and path.name != "lock"}

    before = kept()
    again = controlplane("init", "--state", state)
    assert again.code == UNUSABLE
    assert (
        f"{state} already holds a control plane, whose administrator's profile is {state}/operator.json" in again.line
    )
    assert kept() == before


def test_an_init_that_was_cut_short_is_finished_by_the_next(tmp_path: Path) -> None:
    state = tmp_path / "state"
    cut = controlplane("init", "--state", state, file_bytes_max=4096)
    assert cut.code == UNUSABLE
    assert "cannot open the store" in cut.line
    authority = (state / "identity" / "authority.pem").read_bytes()
    assert controlplane("init", "--state", state).code == 0
    assert (state / "identity" / "authority.pem").read_bytes() == authority
    with serving(state):
        assert join_token(state)


def test_init_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = controlplane("init", "--state", tmp_path / "file" / "state")
    assert done.code == UNUSABLE
    assert "Not a directory" in done.line


@pytest.mark.parametrize("verb", ["serve", "doctor"])
def test_without_a_state_init_is_named(tmp_path: Path, verb: str) -> None:
    done = controlplane(verb, "--state", tmp_path)
    assert done.code == UNUSABLE
    command = offered(done)
    assert command == ["init"]
    assert controlplane(*command, "--state", tmp_path).code == 0
    # What is complete already says how it is started.
    command = offered(controlplane(*command, "--state", tmp_path))
    assert command == ["serve"]
    with serving(tmp_path):
        assert join_token(tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lease_tll_s = 5", "unknown key lease_tll_s; did you mean lease_ttl_s?"),
        ("colour = 'blue'", "unknown key colour; known keys: advertised_host, "),
        ("heartbeat_s = -1", "heartbeat_s must be a number of seconds above 0, not -1"),
        ("heartbeat_s = 'soon'", "heartbeat_s must be a number of seconds above 0, not 'soon'"),
        ("heartbeat_s = 40", "heartbeat_s (40) must be at most half of lease_ttl_s (60)"),
        ("public_listen = 7422", "public_listen must be text, not 7422"),
        ("heartbeat_s = ", "is not TOML"),
    ],
)
def test_a_wrong_configuration_names_file_key_and_near_miss(state: Path, text: str, words: str) -> None:
    config = state.parent / "haulier.toml"
    config.write_text(text)
    done = controlplane("serve", "--state", state, "--config", config)
    assert done.code == UNUSABLE
    assert words in done.line
    assert "heartbeat_s (40)" in words or str(config) in done.line


def test_a_wrong_variable_or_a_missing_file_is_named(state: Path) -> None:
    done = controlplane("serve", "--state", state, env={"HAULIER_CONTROLPLANE_DOR_LISTEN": "x"})
    assert done.code == UNUSABLE
    assert "environment variable HAULIER_CONTROLPLANE_DOR_LISTEN: unknown key dor_listen; did you mean" in done.line
    done = controlplane("serve", "--state", state, "--config", state / "none.toml")
    assert (done.code, "none.toml: cannot be read: No such file" in done.line) == (UNUSABLE, True)


@pytest.mark.parametrize("arguments", [(), ("serv",), ("serve", "--stat", "x", "y"), ("init", "extra")])
def test_wrong_usage_has_a_code_of_its_own(arguments: tuple[str, ...]) -> None:
    done = controlplane(*arguments)
    assert done.code == 2
    assert "usage: haulier-controlplane" in done.err and "Traceback" not in done.err


@pytest.mark.parametrize("listener", ["AGENTS", "PUBLIC", "PROBES"])
def test_a_taken_port_is_named(state: Path, listener: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        env = {**FREE_PORTS, f"HAULIER_CONTROLPLANE_{listener}_LISTEN": address}
        done = controlplane("serve", "--state", state, env=env)
    assert done.code == UNUSABLE
    assert f"cannot listen on {address}: is it taken, or not an address of this host?" in done.line
    assert not (state / "listening.json").exists()


def test_one_state_has_one_control_plane(state: Path) -> None:
    with serving(state) as running:
        second = controlplane("serve", "--state", state, env=FREE_PORTS)
        assert second.code == UNUSABLE
        assert f"another haulier-controlplane (process {running.process.pid}) runs on {state}" in second.line
        assert controlplane("init", "--state", state).code == UNUSABLE
        # The first one has not noticed anything.
        assert join_token(state)


def test_after_a_kill_the_next_one_takes_over_at_once(state: Path) -> None:
    with serving(state) as running:
        join_token(state)
        before = events(state)
        assert running.end(signal.SIGKILL).code == -signal.SIGKILL
    with serving(state) as running:
        assert events(state) == before
        assert join_token(state)
        assert running.end().code == 0
    assert controlplane("doctor", "--state", state).code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_graceful(state: Path, number: signal.Signals) -> None:
    with serving(state) as running:
        assert (state / "listening.json").exists()
        done = running.end(number)
        assert running.notice() == "STOPPING=1"
    assert done.code == 0
    assert "Traceback" not in done.err
    assert not (state / "listening.json").exists()


def test_a_fleet_may_have_as_many_connections_as_the_host_allows(state: Path) -> None:
    with serving(state) as plane:
        soft, hard = resource.prlimit(plane.process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard > 1024


def test_the_log_and_the_command_line_tell_no_secret(state: Path) -> None:
    secrets = [json.loads((state / "operator.json").read_text())["token"]]
    with serving(state) as running:
        secrets.append(join_token(state))
        said = Path(f"/proc/{running.process.pid}/cmdline").read_text()
        done = running.end()
    for secret in secrets:
        assert secret.rpartition(".")[2] not in said + done.out + done.err


def newer(state: Path) -> None:
    connection = library.connect(str(state / "store.db"), writing=True)
    (revision,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {revision + 1}")
    connection.close()


@pytest.mark.parametrize("verb", ["serve", "doctor"])
def test_a_store_of_a_newer_haulier_is_refused(state: Path, verb: str) -> None:
    newer(state)
    done = controlplane(verb, "--state", state, env=FREE_PORTS)
    assert done.code == UNUSABLE
    assert "start the newer haulier-controlplane that wrote it, or restore a backup" in done.line


@pytest.mark.parametrize("verb", ["serve", "doctor"])
def test_a_store_that_is_none_is_refused(state: Path, verb: str) -> None:
    for name in ("store.db-wal", "store.db-shm"):
        (state / name).unlink(missing_ok=True)
    (state / "store.db").write_bytes(b"something else altogether, which is not a database " * 100)
    done = controlplane(verb, "--state", state, env=FREE_PORTS)
    assert done.code == UNUSABLE
    assert "file is not a database" in done.line


def test_the_doctor_finds_nothing_in_a_healthy_store_also_while_it_serves(state: Path) -> None:
    with serving(state):
        join_token(state)
        done = controlplane("doctor", "--state", state)
    assert (done.code, done.out) == (0, "")
    assert done.line == "the store keeps every promise that a doctor can check"


def test_the_doctor_names_each_broken_promise(state: Path) -> None:
    connection = library.connect(str(state / "store.db"), writing=True)
    connection.execute(
        "INSERT INTO migration (id, name, dataset, workflow, workflow_generation, source, destination, "
        "priority, state, reason, created_at) VALUES ('mig_1', 'm', 'd', 'w', 1, 'a', 'b', 0, 'running', '', 1.0)"
    )
    connection.close()
    done = controlplane("doctor", "--state", state)
    assert done.code == 1
    found = [json.loads(line) for line in done.out.splitlines()]
    assert {(each["promise"], each["subject"]) for each in found} == {("S6", "mig_1"), ("C3", "mig_1")}


def refused_join(state: Path) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        join_token(state)
    error = caught.value
    assert isinstance(error, grpc.Call)
    return error.code(), error.details()


def test_a_full_disk_refuses_what_it_cannot_keep_and_nothing_else_is_lost(state: Path) -> None:
    with serving(state) as running:
        join_token(state)
        before = events(state)
        running.disk_is_full(True)
        code, why = refused_join(state)
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "the store could not write" in why and "nothing of this request was kept" in why
        assert events(state) == before
        running.disk_is_full(False)
        assert join_token(state)
        assert events(state) == before + 1
        ended = running.end()
        assert (ended.code, "Traceback" in ended.err) == (0, False), ended.err
    assert controlplane("doctor", "--state", state).code == 0


def test_a_full_disk_at_the_start_and_at_the_stop_is_said_in_a_line(state: Path) -> None:
    done = controlplane("serve", "--state", state, env=FREE_PORTS, file_bytes_max=0)
    assert done.code == UNUSABLE
    assert "Traceback" not in done.err
    with serving(state) as running:
        running.disk_is_full(True)
        ended: Ended = running.end()
    assert ended.code in (0, UNUSABLE)
    assert "Traceback" not in ended.err


def test_a_killed_plane_leaves_its_ports_file_and_the_next_replaces_it(state: Path) -> None:
    def pid(running: Serving) -> None:
        assert json.loads((state / "listening.json").read_text())["pid"] == running.process.pid

    with serving(state) as running:
        pid(running)
        running.end(signal.SIGKILL)
    assert (state / "listening.json").exists()
    with serving(state) as running:
        pid(running)
