"""A control plane as the benches run it: the product's own process on a real file, on loopback, with agents enrolled
through its listener."""

import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from haulier.v1 import agent_pb2, agent_pb2_grpc, fleet_pb2_grpc, operator_pb2, operator_pb2_grpc

from tests.kit.processes import alive, end, program, reap, send, start, until
from tests.kit.quiet import require_quiet

START_BOUND_S = 60.0
STOP_BOUND_S = 30.0
CALL_BOUND_S = 120.0
ENROL_AGAIN_S = 0.02
STORE_FILE = "store.db"


@contextmanager
def temporary_home(name: str) -> Iterator[Path]:
    """A directory of our own that is removed with everything in it."""
    home = Path(tempfile.mkdtemp(prefix=f"haulier-bench-{name}-"))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


class Plane:
    """One control plane below ``home``; use it as a context manager, which stops it."""

    def __init__(self, home: Path, settings: Mapping[str, str] | None = None, causes: Sequence[str] = ()) -> None:
        """``settings``: keys of the control plane's configuration; ``causes``: what it may be loud about."""
        self.state = home / "controlplane"
        self.log = home / "controlplane.log"
        self.identities = home / "identities"
        self.pid = 0
        self._ports = {"agents": 0, "public": 0, "probes": 0}
        self._settings = dict(settings or {})
        self._causes = causes
        self._channel: Any = None

    def __enter__(self) -> "Plane":
        return self

    def __exit__(self, kind: type[BaseException] | None, *exc: object) -> None:
        self.stop()
        if kind is None:
            require_quiet([self.log], self._causes)

    @property
    def store(self) -> Path:
        """The store's file."""
        return self.state / STORE_FILE

    def init(self) -> None:
        """Make the state."""
        pid = start([*program("controlplane"), "init", "--state", str(self.state)], self.log, self._environment())
        until(lambda: not alive(pid), START_BOUND_S, "the control plane to make its state", self.log)
        reap(pid)
        assert self.store.exists(), self.log.read_text()

    def serve(self) -> None:
        """Start the process; return when its listeners are open. A second start listens where the first one did."""
        listening = self.state / "listening.json"
        listening.unlink(missing_ok=True)
        command = [*program("controlplane"), "serve", "--state", str(self.state)]
        pid = self.pid = start(command, self.log, self._environment())
        until(lambda: listening.exists() or not alive(pid), START_BOUND_S, "the control plane to open its listeners")
        assert alive(pid), self.log.read_text()[-2000:]
        told = json.loads(listening.read_text())
        self._ports = {name: int(told[name]) for name in self._ports}

    def stop(self) -> None:
        """Stop the process gracefully, if it runs."""
        self._hang_up()
        if self.pid:
            end(self.pid, STOP_BOUND_S)
            self.pid = 0

    def kill(self) -> None:
        """Kill the process without warning."""
        self._hang_up()
        pid, self.pid = self.pid, 0
        send(pid, signal.SIGKILL)
        until(lambda: not alive(pid), STOP_BOUND_S, "the control plane to be gone")
        reap(pid)

    def cpu_s(self) -> float:
        """CPU seconds of the process and all its threads since its start, exact to the nanosecond.

        The kernel's clock of another process: what utime + stime in its /proc entry count, without their 10 ms steps.
        """
        return time.clock_gettime((~self.pid << 3) | 2)

    def rss_bytes(self) -> int:
        """Resident memory of the process."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def connections(self) -> int:
        """Count the connections that agents have open to it."""
        return sum(
            1
            for each in psutil.Process(self.pid).net_connections(kind="tcp")
            if each.status == psutil.CONN_ESTABLISHED and each.laddr.port == self._ports["agents"]
        )

    def addresses(self) -> dict[str, str]:
        """Return listener → host:port."""
        return {name: f"127.0.0.1:{port}" for name, port in self._ports.items()}

    def operator(self) -> Any:
        """A stub of the operator service, with the administrator's token."""
        if self._channel is None:
            profile = json.loads((self.state / "operator.json").read_text())
            credentials = grpc.composite_channel_credentials(
                grpc.ssl_channel_credentials(profile["ca_pem"].encode()),
                grpc.access_token_call_credentials(profile["token"]),
            )
            self._channel = grpc.secure_channel(f"127.0.0.1:{self._ports['public']}", credentials)
        return operator_pb2_grpc.OperatorServiceStub(self._channel)

    def fleets(self) -> Any:
        """A stub of the fleet service, with the administrator's token."""
        self.operator()
        return fleet_pb2_grpc.FleetServiceStub(self._channel)

    def profile(self) -> Path:
        """A profile for the command line, with the address where the listener is now."""
        told = json.loads((self.state / "operator.json").read_text())
        path = self.state / "dialled.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps({**told, "address": f"127.0.0.1:{self._ports['public']}"}))
        return path

    def enrol(self, names: Sequence[str]) -> None:
        """Give each name a key and certificate, by a join token and Enroll, in ``identities/NAME.json``."""
        operator = self.operator()
        ca_pem = json.loads((self.state / "operator.json").read_text())["ca_pem"].encode()
        self.identities.mkdir(mode=0o700, exist_ok=True)
        with grpc.secure_channel(f"127.0.0.1:{self._ports['public']}", grpc.ssl_channel_credentials(ca_pem)) as channel:
            listener = agent_pb2_grpc.AgentServiceStub(channel)
            for name in names:
                request = operator_pb2.CreateJoinTokenRequest(agent_name=name)
                token = operator.CreateJoinToken(request, timeout=CALL_BOUND_S).token
                key_pem, csr_pem = _key_and_request(name)
                enrolled = _enrolled(
                    listener, agent_pb2.EnrollRequest(request_id=name, token=token, csr_pem=csr_pem, agent_name=name)
                )
                identity = {
                    "name": name,
                    "agent_id": enrolled.agent_id,
                    "address": enrolled.session_address,
                    "key": key_pem.decode(),
                    "certificate": enrolled.certificate_pem.decode(),
                    "ca": enrolled.ca_pem.decode(),
                }
                (self.identities / f"{name}.json").write_text(json.dumps(identity))

    def _environment(self) -> dict[str, str]:
        settings = {
            **{f"{name}_listen": f"127.0.0.1:{port}" for name, port in self._ports.items()},
            "advertised_host": "127.0.0.1",
            **self._settings,
        }
        root = Path(__file__).parents[2]
        return {
            "PYTHONPATH": os.pathsep.join([str(root), str(root / "proto")]),
            **{f"HAULIER_CONTROLPLANE_{key.upper()}": value for key, value in settings.items()},
        }

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def _enrolled(listener: Any, request: agent_pb2.EnrollRequest) -> Any:
    """Ask until the listener lets this address in: it is meant for hosts, and so many never come from one."""
    while True:
        try:
            return listener.Enroll(request, timeout=CALL_BOUND_S)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            time.sleep(ENROL_AGAIN_S)


def _key_and_request(name: str) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem, request.public_bytes(serialization.Encoding.PEM)
