"""Sees whoever opens or changes a file in some directories, and what a tree holds."""

import ctypes
import hashlib
import os
import struct
from pathlib import Path

_ACCESS, _MODIFY, _ATTRIBUTES, _OPEN, _CREATE, _DELETE, _MOVED = 0x1, 0x2, 0x4, 0x20, 0x100, 0x200, 0xC0
_ANYTHING = _ACCESS | _MODIFY | _ATTRIBUTES | _OPEN | _CREATE | _DELETE | _MOVED
_HEAD = struct.Struct("iIII")


class Watch:
    """Every open, read and change of files in directories that exist now, by anybody, since `begin`."""

    def __init__(self, *roots: Path) -> None:
        self._roots = roots
        self._library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = -1
        self._names: dict[int, Path] = {}

    def begin(self) -> None:
        """Begin to look."""
        self._descriptor = self._library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._descriptor >= 0, os.strerror(ctypes.get_errno())
        # Listed first: to walk through what is watched would be seen.
        for directory in [directory for root in self._roots for directory, _, _ in os.walk(root)]:
            number = self._library.inotify_add_watch(self._descriptor, os.fsencode(directory), _ANYTHING)
            assert number >= 0, directory
            self._names[number] = Path(directory)

    def seen(self) -> list[str]:
        """What happened so far, once each; listing a directory alone is not counted, reaching a file in it is."""
        found = []
        while data := self._read():
            while data:
                number, mask, _, length = _HEAD.unpack_from(data)
                name = data[_HEAD.size : _HEAD.size + length].rstrip(b"\0").decode("utf-8", "replace")
                data = data[_HEAD.size + length :]
                if name or mask & (_CREATE | _DELETE | _MOVED):
                    found.append(f"{self._names[number] / name} {mask & _ANYTHING:#x}")
        return sorted(set(found))

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, 1 << 20)
        except BlockingIOError:
            return b""

    def end(self) -> None:
        """Look no more."""
        os.close(self._descriptor)


def digest_of_tree(root: Path) -> dict[str, str]:
    """Every file, directory and link below a root with its mode, owner, links, times and content."""
    found = {}
    for directory, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(directory) / name
            status = path.lstat()
            told = [status.st_mode, status.st_uid, status.st_nlink, status.st_size, status.st_mtime_ns]
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else ""
            found[str(path.relative_to(root))] = f"{told} {content}"
    return found


def processes_in(root: Path) -> dict[int, str]:
    """Processes that work below a root or run a file below it, by pid."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                places = [(entry / name).readlink() for name in ("cwd", "exe")]
            except OSError:
                continue
            if any(place.is_relative_to(root) for place in places):
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found
