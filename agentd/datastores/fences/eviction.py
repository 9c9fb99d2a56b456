"""End a stopped writer on this host that would block its successor at local files.

A process stopped in the middle of a transaction keeps its file locks, and SQLite and DuckDB then let nobody in. So
each writer leaves a *holder* record beside the file, open for as long as it writes: who it is by (pid, start time,
boot id, pid namespace). The successor ends exactly that process, and only if it is provably the one that wrote the
record: same boot, same start time, and the record open in it. A record whose process is gone is swept away.
"""

import json
import os
import re
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from agentd.datastores.port.datastore import Writer
from agentd.datastores.port.failures import StepFailure, naming_os_errors
from agentd.disk import durable

OWN_DIRECTORY = "_haulier"
KILL_S = 10.0


def start_time(pid: int) -> int | None:
    """Clock ticks after boot at which the process started; None if it is gone or a zombie of the kernel's kind."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] in "ZX" else int(fields[19])


def boot_of_host() -> dict[str, str]:
    """This boot of this host, and the namespace in which its pids mean something."""
    return {
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "pid_namespace": str(Path("/proc/self/ns/pid").readlink()),
    }


def _records(beside: Path) -> Path:
    return beside.parent / OWN_DIRECTORY / "holders"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)[:100]


@contextmanager
def holding(file: Path, writer: Writer) -> Iterator[None]:
    """Evict earlier writers of the same target at this file, then be its recorded holder until the end of the
    block."""
    evict(file, writer)
    directory = _records(file)
    path = directory / f"{file.name}.{_plain(writer.attempt_id)}.json"
    with naming_os_errors("recording the holder", directory):
        durable.make_directory(directory, mode=0o777)
        record = {
            "attempt_id": writer.attempt_id,
            "target": writer.target,
            "fence": writer.fence,
            "pid": os.getpid(),
            "start_time": writer.outside(lambda: start_time(os.getpid())),
            **boot_of_host(),
        }
        with durable.replacing(path, mode=None, synced=False) as opened:
            opened.write(json.dumps(record).encode("utf-8"))
            # Open for as long as the file is held, from before the record can be seen.
            held = os.dup(opened.fileno())
    try:
        yield
    finally:
        os.close(held)
        with suppress(OSError):
            path.unlink(missing_ok=True)


def evict(file: Path, writer: Writer) -> None:
    """End every recorded holder of this file that `writer` supersedes; leave all others alone.

    Raises StepFailure (busy, retryable) where such a process does not end within KILL_S seconds.
    """
    for path in sorted(_records(file).glob(f"{_escaped(file.name)}.*.json")):
        try:
            record = json.loads(path.read_text())
            superseded = record["attempt_id"] in writer.evict or (
                record["target"] == writer.target and int(record["fence"]) < writer.fence
            )
            pid = int(record["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            # Gone since the listing, or torn by a crash before it was ever a record: nobody can be proven to hold it.
            continue
        if pid == os.getpid() or {k: record.get(k) for k in boot_of_host()} != boot_of_host():
            continue
        if not _holds(pid, record, path, writer):
            path.unlink(missing_ok=True)
        elif superseded and record["attempt_id"] != writer.attempt_id:
            _end(pid, record, path, writer)


def _escaped(name: str) -> str:
    return re.sub(r"([\[\]*?])", r"[\1]", name)


def _holds(pid: int, record: dict[str, Any], path: Path, writer: Writer) -> bool:
    """Whether this very process wrote the record: started when it says, and still has it open."""
    try:
        wanted = path.stat()
    except OSError:
        return False
    started, looked = record.get("start_time"), writer.outside(lambda: (start_time(pid), _has_open(pid, wanted)))
    return bool(looked == (started, True))


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    try:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found = descriptor.stat()
                if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
                    return True
    except OSError:
        return False
    return False


def _end(pid: int, record: dict[str, Any], path: Path, writer: Writer) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        path.unlink(missing_ok=True)
        return
    try:
        # The descriptor pins the process, so what is checked now is what gets the signal.
        if _holds(pid, record, path, writer):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            if not poll.poll(KILL_S * 1000):
                raise StepFailure(
                    "busy",
                    f"process {pid} of {record['attempt_id']} holds {path.name.rsplit('.', 2)[0]!r} and did not end",
                    "It is probably blocked in the kernel; look at it before retrying.",
                    retryable=True,
                )
    except PermissionError as err:
        raise StepFailure(
            "permission_denied",
            f"process {pid} of {record['attempt_id']} holds the file and belongs to another user",
            "Run all attempts on one host under one user.",
        ) from err
    finally:
        os.close(descriptor)
    path.unlink(missing_ok=True)
