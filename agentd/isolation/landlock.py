"""The kernel's sandbox around a step (Landlock): files open only where the policy allows, whatever path is given.

A check of a name is a promise about a moment; links change. So the step's own thread is put into a Landlock domain:
every open, rename and link in it is judged by the kernel on the file that was reached, for Python, DuckDB, SQLite and
all else alike. What must look beyond (a secret's file, the processes of other attempts) is done on one thread that
stays outside and runs only what the runner gives it.
"""

import contextlib
import ctypes
import os
import queue
import stat
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import Any, TypeVar

from agentd.policy.beneath import opened_beneath

T = TypeVar("T")

# System calls have the same numbers on every architecture since they were added.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION = 1
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2
_NET_BIND_TCP, _NET_CONNECT_TCP = 1, 2
# Before this version of the kernel's interface no link could cross directories, which publishing files needs.
VERSION_MIN = 2
_VERSION_WITH_PORTS = 4


class Rights(IntFlag):
    """What may be done beneath a path, as the kernel numbers it."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIRECTORY = 1 << 3
    REMOVE_DIRECTORY = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_DEVICE = 1 << 6 | 1 << 11
    MAKE_DIRECTORY = 1 << 7
    MAKE_FILE = 1 << 8
    MAKE_SOCKET = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_LINK = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    CONTROL_DEVICE = 1 << 15


READ = Rights.READ_FILE | Rights.READ_DIRECTORY
RUN = READ | Rights.EXECUTE
# Neither symbolic links nor devices nor pipes: no step needs to make one.
WRITE = (
    READ
    | Rights.WRITE_FILE
    | Rights.TRUNCATE
    | Rights.MAKE_FILE
    | Rights.MAKE_DIRECTORY
    | Rights.REMOVE_FILE
    | Rights.REMOVE_DIRECTORY
    | Rights.REFER
)
_OF_FILES = Rights.EXECUTE | Rights.WRITE_FILE | Rights.READ_FILE | Rights.TRUNCATE | Rights.CONTROL_DEVICE
_SINCE = {Rights.REFER: 2, Rights.TRUNCATE: 3, Rights.CONTROL_DEVICE: 5}

# What libraries read of a system: code, time zones, names of hosts, certificates, what the kernel tells. No password
# file, no keys; and what /proc tells of another process the kernel keeps from whoever is in a sandbox.
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/resolv.conf",
    "/run/systemd/resolve",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/nsswitch.conf",
    "/etc/services",
    "/etc/localtime",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/krb5.conf",
    "/etc/gss",
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    "/proc",
    "/sys/devices/system",
    "/sys/fs/cgroup",
)


@dataclass(frozen=True, slots=True)
class Opening:
    """A path rule of the sandbox. With `roots` it holds only while the path leads beneath one of them."""

    path: Path
    rights: Rights
    roots: tuple[str, ...] = ()


class SandboxFailed(Exception):
    """The kernel has sandboxes and this one could not be put up."""


def version() -> int:
    """Version of the kernel's interface, 0 where there is none that would do."""
    found = _call(_CREATE_RULESET, None, 0, _ASK_VERSION)
    return found if found >= VERSION_MIN else 0


def system_openings(code: Iterable[str]) -> list[Opening]:
    """What every step may read: the system's libraries and our own code, which lies in the directories `code`."""
    found = [Opening(Path(path), READ) for path in (*_SYSTEM, *code)]
    return [*found, Opening(Path("/dev/null"), READ | Rights.WRITE_FILE)]


def put_up(openings: Iterable[Opening], ports: Iterable[int] | None = None) -> None:
    """Enclose this thread, and all that it starts, for good. `ports` are those it may connect to; None: any.

    The thread must have given up gaining privileges. Openings that are not there or not for us are left out. Raises
    Outside where one leads elsewhere than beneath its roots, SandboxFailed where the kernel refuses.
    """
    kernel = version()
    if not kernel:
        raise SandboxFailed("this kernel has no Landlock")
    handled = _known_to(kernel, Rights((1 << 16) - 1))
    network = _NET_BIND_TCP | _NET_CONNECT_TCP if ports is not None and kernel >= _VERSION_WITH_PORTS else 0
    attributes = struct.pack("=QQ", handled, network) if kernel >= _VERSION_WITH_PORTS else struct.pack("=Q", handled)
    ruleset = _required(_call(_CREATE_RULESET, attributes, len(attributes), 0), "make")
    try:
        for opening in openings:
            # What is not there, or not for us, needs no rule.
            with contextlib.suppress(OSError), _opened(opening) as descriptor:
                rights = opening.rights
                if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                    rights &= _OF_FILES
                rule = struct.pack("=Qi", _known_to(kernel, rights), descriptor)
                _required(_call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0), f"open {opening.path} in")
        for port in (ports or ()) if network else ():
            rule = struct.pack("=QQ", _NET_CONNECT_TCP, port)
            _required(_call(_ADD_RULE, ruleset, _RULE_NET_PORT, rule, 0), f"open port {port} in")
        _required(_call(_RESTRICT_SELF, ruleset, 0), "put up")
    finally:
        os.close(ruleset)


@contextlib.contextmanager
def _opened(opening: Opening) -> Iterator[int]:
    if opening.roots:
        with opened_beneath(opening.path, opening.roots) as descriptor:
            yield descriptor
        return
    descriptor = os.open(opening.path, os.O_PATH | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _known_to(kernel: int, rights: Rights) -> int:
    for right, since in _SINCE.items():
        if kernel < since:
            rights &= ~right
    return int(rights)


def _call(number: int, *arguments: Any) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    widened = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return int(library.syscall(ctypes.c_long(number), *widened))


def _required(result: int, doing: str) -> int:
    if result < 0:
        raise SandboxFailed(f"the kernel would not {doing} the sandbox: {os.strerror(ctypes.get_errno())}")
    return result


class OutsideThread:
    """A thread that began before the sandbox, and so stays outside: it runs what it is given, one after another."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name="outside", daemon=True).start()

    def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, run outside."""
        done: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

        def carry_out() -> None:
            try:
                done.put((True, work()))
            except BaseException as error:  # noqa: BLE001 - it is raised again where it was asked for
                done.put((False, error))

        self._asked.put(carry_out)
        went_well, found = done.get()
        if not went_well:
            raise found
        return found  # type: ignore[no-any-return]

    def _serve(self) -> None:
        while True:
            self._asked.get()()
