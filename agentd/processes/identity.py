"""Who a process is: a pid alone is given to somebody else as soon as its owner is gone."""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """`start_ticks` is the start time in clock ticks since boot, as the kernel counts it."""

    pid: int
    start_ticks: int
    boot_id: str

    @property
    def started_at(self) -> float:
        """Start as CLOCK_BOOTTIME seconds (to the tick)."""
        return self.start_ticks / _TICKS_PER_S


def boot_id() -> str:
    """Identity of this boot of the host."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


def boottime() -> float:
    """CLOCK_BOOTTIME in seconds: counts through suspend, never goes back, the same for all processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _stat_fields(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on, or None where there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat.rpartition(")")[2].split()


def identify(pid: int) -> ProcessIdentity | None:
    """The identity of a living process, or None where there is none (a zombie is none)."""
    fields = _stat_fields(pid)
    if fields is None or fields[0] in "ZX":
        return None
    return ProcessIdentity(pid, int(fields[19]), boot_id())


def is_alive(who: ProcessIdentity) -> bool:
    """Whether exactly this process still lives."""
    return identify(who.pid) == who


def was_reused(who: ProcessIdentity) -> bool:
    """Whether the pid belongs to another process by now, or to another boot.

    The kernel gives a pid away only when no process is left in its session: then nothing of `who` is left
    either."""
    if who.boot_id != boot_id():
        return True
    fields = _stat_fields(who.pid)
    return fields is not None and int(fields[19]) != who.start_ticks


def all_pids() -> list[int]:
    """Every process that this one can see."""
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def session_members(leader: ProcessIdentity) -> list[int]:
    """Living processes of the session that `leader` opened, the leader included."""
    if was_reused(leader):
        return []
    found = []
    for pid in all_pids():
        fields = _stat_fields(pid)
        # A process older than the leader cannot belong to it: its session id was used before.
        if fields is None or fields[0] in "ZX" or int(fields[3]) != leader.pid:
            continue
        if int(fields[19]) >= leader.start_ticks:
            found.append(pid)
    return found


def descendants(pid: int) -> list[int]:
    """Children of a process and theirs, as far as they can be seen without a walk over the whole host."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        children = []
        # Each thread has the children that it started. Any of them may be gone before it was asked.
        tasks = Path(f"/proc/{parent}/task")
        with contextlib.suppress(OSError):
            for thread in tasks.iterdir():
                with contextlib.suppress(OSError):
                    listed = thread.joinpath("children").read_text(encoding="ascii")
                    children += [int(each) for each in listed.split()]
        found += children
        waiting += children
    return found
