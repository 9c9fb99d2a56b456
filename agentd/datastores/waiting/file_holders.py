"""Which processes of this host hold locks on a file, as the kernel lists them."""

import os
import pwd
from contextlib import suppress
from pathlib import Path

from agentd.datastores.waiting.patience import Holder


def holders(paths: list[Path]) -> list[Holder]:
    """Processes other than this one that hold a lock on any of the files, by name, pid and user.

    Files that are not there are held by nobody.
    """
    wanted = set()
    for path in paths:
        with suppress(OSError):
            found = path.stat()
            wanted.add((os.major(found.st_dev), os.minor(found.st_dev), found.st_ino))
    return [_holder(pid) for pid in sorted(_pids(wanted)) if pid != os.getpid()]


def _pids(wanted: set[tuple[int, int, int]]) -> set[int]:
    pids: set[int] = set()
    try:
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return pids
    for line in lines:
        fields = line.split()
        # A line with an arrow is of somebody who waits.
        if len(fields) < 8 or fields[1] == "->":
            continue
        major, minor, inode = fields[5].split(":")
        if (int(major, 16), int(minor, 16), int(inode)) in wanted:
            pids.add(int(fields[4]))
    return pids


def _holder(pid: int) -> Holder:
    name, user = "a process", "unknown"
    with suppress(OSError, KeyError):
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        user = pwd.getpwuid(Path(f"/proc/{pid}").stat().st_uid).pw_name
    return Holder(f"{name} (pid {pid}) of user {user!r}", None, f"Let process {pid} end its transaction.")
