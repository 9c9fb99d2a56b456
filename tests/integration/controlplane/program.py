"""`haulier-controlplane` as a real process: run to its end, or serving until the test is done with it."""

import os
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.kit.processes import program

BOUND_S = 60.0


class Ended(NamedTuple):
    """How a process ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line on standard error that a person gets; more than one, or a traceback, fails the test."""
        lines = [line for line in self.err.splitlines() if " INFO " not in line]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without settings of other control planes, and with ``more``."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HAULIER_")}
    return {**kept, **(more or {})}


def controlplane(*arguments: str | Path, env: Mapping[str, str] | None = None, file_bytes_max: int = -1) -> Ended:
    """Run ``haulier-controlplane`` to its end; ``file_bytes_max`` makes every longer file a full disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, file_bytes_max))

    done = subprocess.run(
        [*program("controlplane"), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=BOUND_S,
        env=environment(env),
        preexec_fn=limit if file_bytes_max >= 0 else None,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


class Serving:
    """A serving process, which has said that it is ready."""

    def __init__(self, process: "subprocess.Popen[str]", notices: socket.socket) -> None:
        self.process = process
        self._notices = notices

    def notice(self) -> str:
        """Wait for the next word to the service manager."""
        return self._notices.recv(4096).decode()

    def end(self, number: signal.Signals = signal.SIGTERM) -> Ended:
        """Signal it and wait for its end."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=BOUND_S)
        return Ended(self.process.returncode, out, err)

    def disk_is_full(self, full: bool) -> None:
        """Let no file grow any more, or all again."""
        unlimited = resource.RLIM_INFINITY
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (0 if full else unlimited, unlimited))


@contextmanager
def serving(state: Path, *arguments: str | Path, **env: Any) -> Iterator[Serving]:
    """``haulier-controlplane serve`` on ports of its own, ready; ended with the test."""
    socket_path = state.parent / f"notices-{state.name}"
    socket_path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
        notices.bind(str(socket_path))
        notices.settimeout(BOUND_S)
        process = subprocess.Popen(
            [*program("controlplane"), "serve", "--state", str(state), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment({**FREE_PORTS, "NOTIFY_SOCKET": str(socket_path), **env}),
        )
        with process:
            running = Serving(process, notices)
            try:
                assert running.notice() == "READY=1"
                yield running
            finally:
                if process.poll() is None:
                    process.kill()
                    process.communicate(timeout=BOUND_S)


FREE_PORTS = {
    "HAULIER_CONTROLPLANE_AGENTS_LISTEN": "127.0.0.1:0",
    "HAULIER_CONTROLPLANE_PUBLIC_LISTEN": "127.0.0.1:0",
    "HAULIER_CONTROLPLANE_PROBES_LISTEN": "127.0.0.1:0",
    "HAULIER_CONTROLPLANE_STOP_GRACE_S": "2",
}
