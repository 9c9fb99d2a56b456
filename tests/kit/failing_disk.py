"""A disk that is watched: a program can be killed at, or refused, any one of its calls that change it, and whatever
has a name at the end must have become durable before it got that name.

The rules are those of a file system that writes names and bytes to the disk when it pleases, unless it is told to.
"""

import contextlib
import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

CHANGING = ("fsync", "rename", "replace", "link", "symlink", "unlink", "mkdir", "rmdir")


class Stopped(BaseException):
    """The process was killed here: no clean-up changes the disk any more."""


class How(Enum):
    """What happens at the chosen call."""

    KILLED = "killed"
    REFUSED = "refused"


@dataclass
class Disk:
    """Watches one act; `at` is the number of the call that goes wrong, 0 for none."""

    at: int = 0
    how: How = How.KILLED
    calls: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    _durable: dict[tuple[int, int], bytes] = field(default_factory=dict)
    _unsynced: dict[tuple[int, int], Path] = field(default_factory=dict)
    _dead: bool = False

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Within the block, every call that changes a disk goes through here."""
        with pytest.MonkeyPatch.context() as patch:
            for name in CHANGING:
                patch.setattr(os, name, self._watched(name, getattr(os, name)))
            patch.setattr(os, "remove", os.unlink)
            yield

    def unsynced(self) -> list[str]:
        """Directories in which a name was given that a loss of power may take back."""
        return sorted(str(path) for path in self._unsynced.values() if path.exists())

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if self._dead:
                raise Stopped
            shown = [os.fspath(each) if not isinstance(each, int) else "descriptor" for each in arguments[:2]]
            self.calls.append(f"{name} {' '.join(map(str, shown))}")
            if len(self.calls) == self.at:
                self._dead = self.how is How.KILLED
                raise Stopped if self._dead else OSError(errno.EIO, os.strerror(errno.EIO))
            if name in ("rename", "replace", "link") and not named:
                self._must_be_durable(Path(arguments[0]), Path(arguments[1]))
            answer = real(*arguments, **named)
            self._note(name, arguments, named)
            return answer

        return call

    def _note(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        if name == "fsync":
            found = os.fstat(arguments[0])
            if stat.S_ISDIR(found.st_mode):
                self._unsynced.pop(_id(found), None)
            else:
                self._durable[_id(found)] = _digest(Path(f"/proc/self/fd/{arguments[0]}"))
        elif not named or name == "mkdir":
            changed = {"rename": arguments[:2], "replace": arguments[:2], "link": arguments[1:2]}.get(name)
            if name == "symlink":
                changed = arguments[1:2]
            if name == "mkdir":
                changed = arguments[:1]
            for path in changed or ():
                above = Path(path).parent.resolve()
                self._unsynced[_id(above.stat())] = above

    def _must_be_durable(self, source: Path, target: Path) -> None:
        """A name is given to bytes that are durable, and to directories whose names are."""
        for path in [source, *source.rglob("*")] if source.is_dir() and not source.is_symlink() else [source]:
            if path.is_symlink():
                continue
            here = _id(path.stat())
            if path.is_dir() and here in self._unsynced:
                self.faults.append(f"{target} is named while names in {path} are not durable")
            # What was there before this act is as durable as it was.
            if path.is_file() and path.stat().st_ino not in self._old and self._durable.get(here) != _digest(path):
                self.faults.append(f"{target} is named while the bytes of {path} are not durable")

    _old: frozenset[int] = frozenset()

    def knows(self, home: Path) -> None:
        """What lies below `home` now was durable before."""
        self._old = frozenset(path.stat().st_ino for path in home.rglob("*") if path.is_file())


def _id(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


@dataclass(frozen=True)
class Act:
    """Something that a program does to files below a directory.

    `look` says what a reader finds there, and raises where that is neither whole nor absent. Acts that cannot be done
    twice say by `again` what a second one raises once the first was done.
    """

    prepare: Callable[[Path], None]
    act: Callable[[Path], None]
    look: Callable[[Path], object]
    again: tuple[type[BaseException], ...] = ()
    # Parts of paths that need not be durable: what is there is derived, or void after a boot.
    derived: tuple[str, ...] = ()


def hold(act: Act, home: Path) -> list[str]:
    """Do an act whole, then killed and refused at each of its calls: old or new is found, and it can be done again.

    Returns the calls of the whole act."""
    template = home / "template"
    template.mkdir(parents=True)
    act.prepare(template)
    before = act.look(template)
    whole, disk = _copied(template, home / "whole"), Disk()
    disk.knows(whole)
    with disk.watching():
        act.act(whole)
    after = act.look(whole)
    assert before != after, "the act does nothing that shows"
    for faults in (disk.faults, disk.unsynced()):
        left = [fault for fault in faults if not any(part in fault for part in act.derived)]
        assert not left, f"a loss of power takes it back: {left}"
    for how in How:
        for at in range(1, len(disk.calls) + 1):
            place = _copied(template, home / f"{how.value}-{at}")
            _tried(act, place, Disk(at, how), before, after, disk.calls[at - 1])
            shutil.rmtree(place)
    return disk.calls


def _tried(act: Act, place: Path, disk: Disk, before: object, after: object, call: str) -> None:
    where = f"{disk.how.value} at call {disk.at}: {call}"
    try:
        with disk.watching():
            act.act(place)
    except Stopped:
        ended = False
    except Exception as error:  # noqa: BLE001 - each caller has a class of its own for a disk that fails
        assert disk.how is How.REFUSED, f"{where}: {error!r}"
        ended = False
    else:
        ended = True
    found = act.look(place)
    assert found in (before, after), where
    assert found == after or not ended, f"{where}: it says that it is done"
    with contextlib.suppress(*(act.again if found == after else ())):
        act.act(place)
    assert act.look(place) == after, f"{where}: cannot be done again"


def _copied(template: Path, to: Path) -> Path:
    shutil.copytree(template, to, symlinks=True)
    return to
