"""The host's limits inside a step's process: those that the kernel keeps for a process, and those that are counted."""

import contextlib
import os
import resource
from collections.abc import Callable
from pathlib import Path

from agentd.core.grants import Failure
from agentd.policy.limits import Limits
from agentd.processes.identity import boottime

# What happened, and the key that would change it, by failure code.
LIMITS = {
    "time_limit": ("ran longer than this host allows one attempt", "run_s_max"),
    "cpu_limit": ("used more processor time than this host allows one attempt", "cpu_s_max"),
    "written_limit": ("wrote more bytes than this host allows one attempt", "written_bytes_max"),
    "memory_limit": ("needed more memory than this host allows one attempt", "memory_bytes_max"),
}


def failure_of(code: str, limits: Limits) -> Failure:
    """What to tell of an attempt that exceeded a limit."""
    what, key = LIMITS[code]
    most = getattr(limits, key)
    told = f"the step {what} ({key} = {most:,.12g})"
    return Failure(code, told, f"the owner of this host can raise {key} in its policy; or move less at a time")


def keep(limits: Limits, memory_is_in_cgroup: bool) -> int:
    """Let the kernel keep what it can for this process; returns the memory limit in force, 0 for none.

    Without a control group memory is limited by what this process may allocate for itself; shared libraries and files
    do not count, and neither does what it holds already.
    """
    if limits.file_bytes_max:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes_max, limits.file_bytes_max))
    if limits.cpu_s_max:
        # The counted limit comes first and says why; this one is for a process that no longer counts.
        hard = int(limits.cpu_s_max) + 30
        resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))
    if limits.processes_max and os.geteuid() != 0:
        with contextlib.suppress(ValueError, OSError):
            most = _processes_of_user() + limits.processes_max
            resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
    if not limits.memory_bytes_max or memory_is_in_cgroup:
        return limits.memory_bytes_max
    most = _allocated_bytes() + limits.memory_bytes_max
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    return limits.memory_bytes_max


def over(limits: Limits, started_at: float, use: Callable[[], tuple[float, int]]) -> str:
    """The code of the first limit that is exceeded, "" for none. `use` gives CPU seconds and bytes written so far."""
    if limits.run_s_max and boottime() > started_at + limits.run_s_max:
        return "time_limit"
    if not limits.cpu_s_max and not limits.written_bytes_max:
        return ""
    cpu_s, written_bytes = use()
    if limits.cpu_s_max and cpu_s > limits.cpu_s_max:
        return "cpu_limit"
    return "written_limit" if limits.written_bytes_max and written_bytes > limits.written_bytes_max else ""


def _allocated_bytes() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0


def _processes_of_user() -> int:
    found = 0
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            found += entry.name.isdigit() and entry.stat().st_uid == os.geteuid()
    return found
