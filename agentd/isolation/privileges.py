"""What a step's process gives up before it does anything: privileges, other people's descriptors, readable files."""

import contextlib
import ctypes
import os
import resource
import struct
from pathlib import Path

_SET_NO_NEW_PRIVILEGES, _SET_SUBREAPER, _DROP_FROM_BOUND, _AMBIENT, _CLEAR_ALL = 38, 36, 24, 47, 4
_CAPABILITIES_VERSION = 0x20080522
# A step of a daemon that runs as root goes on reading and writing other users' files, which is what it is there for,
# and ends stopped holders of them. It mounts, loads, traces, binds and impersonates nothing.
_KEPT = {"chown": 0, "dac_override": 1, "dac_read_search": 2, "fowner": 3, "fsetid": 4, "kill": 5}
_FIRST_OPEN_MAX = 65536


def give_up() -> None:
    """Give up gaining privileges, every capability that no step needs, inherited descriptors, and core files.

    Called in a process of one thread: what is given up is given up by all threads that come after.
    """
    os.closerange(3, _FIRST_OPEN_MAX)
    os.umask(0o077)
    # A core file would hold every secret that was resolved.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    # Orphans of what a step starts come back to it, so that it can end them.
    library.prctl(_SET_SUBREAPER, 1, 0, 0, 0)
    library.prctl(_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    _drop_capabilities(library)


def _drop_capabilities(library: ctypes.CDLL) -> None:
    for number in range(_last_capability() + 1):
        if number not in _KEPT.values():
            # Refused to whoever has none to drop.
            library.prctl(_DROP_FROM_BOUND, number, 0, 0, 0)
    header = struct.pack("=Ii", _CAPABILITIES_VERSION, 0)
    held = ctypes.create_string_buffer(24)
    if library.capget(header, held) != 0:
        return
    low = sum(1 << number for number in _KEPT.values())
    effective, permitted, *_ = struct.unpack("=6I", held.raw)
    library.capset(header, struct.pack("=6I", effective & low, permitted & low, 0, 0, 0, 0))


def _last_capability() -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="ascii"))
    return 40
