"""Real processes for tests, demo and chaos: started, found again, killed by pid and nothing else."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

# Handles of what was started here: dropping one while its process lives would make Python complain.
_STARTED: dict[int, subprocess.Popen[bytes]] = {}


class NotInTime(Exception):
    """What was waited for did not happen within its bound; the message says what, and shows the last log lines."""


def program(module: str) -> list[str]:
    """Return the command that runs one of our programs with this interpreter."""
    return [sys.executable, "-m", module]


def start(command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> int:
    """Start a process in a session of its own, its output appended to ``log``; return its pid."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
    _STARTED[process.pid] = process
    return process.pid


def alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended but was not waited for does not."""
    process = _STARTED.get(pid)
    if process is not None:
        # It shows as ended while its last threads still hold files and locks; only waiting for it tells.
        return process.poll() is None
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to one process; one that is gone already is not an error."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def end(pid: int, bound_s: float) -> None:
    """Ask a process to end, and kill it when it has not within ``bound_s``."""
    send(pid, signal.SIGTERM)
    try:
        until(lambda: not alive(pid), bound_s, f"process {pid} to end")
    except NotInTime:
        send(pid, signal.SIGKILL)
        until(lambda: not alive(pid), bound_s, f"process {pid} to be gone")
    reap(pid)


def reap(pid: int) -> None:
    """Take the exit status of a child of ours, so that no zombie stays; others' children are left alone."""
    process = _STARTED.get(pid)
    if process is not None and process.poll() is not None:
        del _STARTED[pid]


def until(holds: Callable[[], bool], bound_s: float, what: str, log: Path | None = None) -> None:
    """Look until ``holds``; raise ``NotInTime`` after ``bound_s``. For states without a signal."""
    deadline_at = time.monotonic() + bound_s
    while not holds():
        if time.monotonic() > deadline_at:
            tail = ""
            if log is not None and log.exists():
                tail = ":\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise NotInTime(f"waited {bound_s:g} s for {what}{tail}")
        time.sleep(0.02)
