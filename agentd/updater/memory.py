"""The updater's own memory: its state, written before anything is done about it, and what happened when.

Only one run at a time has it: `Memory.open` takes the lock, and waits for another run that is under way.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentd.core.release_state import Phase, Release, UndecodableState, UpdaterState, state_from_text, state_to_text
from agentd.disk import durable
from agentd.updater.links import CURRENT, PREVIOUS, digest_of
from agentd.updater.settings import UpdaterSettings

STATE, LOCK, TIMELINE = "state.json", "lock", "timeline.jsonl"
RELEASE = "release.json"
_LOCK_WAIT_S = 300.0
_LOOK_S = 0.1
_TIMELINE_BYTES_MAX = 64 * 1024


class MemoryBroken(Exception):
    """The updater's state cannot be read; says what and how to mend it."""


class Busy(Exception):
    """Another run of the updater is under way and does not end."""


class Memory:
    """UpdaterState of one host. Use it inside `Memory.open` only."""

    def __init__(self, settings: UpdaterSettings) -> None:
        self._settings = settings
        self._path = settings.state / STATE

    @classmethod
    @contextlib.contextmanager
    def open(cls, settings: UpdaterSettings) -> Iterator["Memory"]:
        """The memory, alone. Raises Busy."""
        durable.make_directory(settings.state)
        descriptor = os.open(settings.state / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            _locked(descriptor)
            yield cls(settings)
        finally:
            os.close(descriptor)

    def load(self) -> UpdaterState:
        """What was remembered, or, on a host that never upgraded, what its links say. Raises MemoryBroken."""
        try:
            return state_from_text(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            current, previous = self.linked()
            return UpdaterState(current=current, previous=previous)
        except (OSError, UndecodableState) as error:
            raise MemoryBroken(
                f"{self._path} cannot be read: {error}; move it away to begin again with the release that runs"
            ) from error

    def linked(self) -> tuple[Release | None, Release | None]:
        """The releases that `current` and `previous` say now."""
        return self._named(self._settings.home / CURRENT), self._named(self._settings.home / PREVIOUS)

    def _named(self, link: Path) -> Release | None:
        digest = digest_of(link)
        return Release(version_of(self._settings.tree(digest)), digest) if digest else None

    def save(self, state: UpdaterState, moved: str) -> None:
        """Make the next state durable; `moved` is the step that led to it, for the timeline."""
        durable.replace(self._path, state_to_text(state).encode("utf-8"))
        self.note(moved, state)

    def note(self, what: str, state: UpdaterState) -> None:
        """Add a line to the timeline, which is never needed for a decision."""
        last = state.last
        told = {
            "at": time.time(),
            "what": what,
            "phase": state.phase.value,
            "current": state.current.digest if state.current else "",
            "code": last.code if last and state.phase is not Phase.PROBATION else "",
        }
        with contextlib.suppress(OSError):
            path = self._settings.state / TIMELINE
            if path.exists() and path.stat().st_size > _TIMELINE_BYTES_MAX:
                durable.move(path, path.with_name(f"{TIMELINE}.old"))
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(told) + "\n")

    def timeline(self) -> list[dict[str, Any]]:
        """The newest lines of the timeline, the oldest first."""
        found: list[dict[str, Any]] = []
        with contextlib.suppress(OSError):
            for line in (self._settings.state / TIMELINE).read_text(encoding="utf-8").splitlines()[-100:]:
                with contextlib.suppress(ValueError):
                    found.append(json.loads(line))
        return found


def version_of(tree: Path) -> str:
    """The version that a release's own list of files says; empty where there is none."""
    try:
        return str(json.loads((tree / RELEASE).read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _locked(descriptor: int) -> None:
    give_up_at = time.monotonic() + _LOCK_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up_at:
                raise Busy("another run of haulier-updater is under way and does not end") from None
            time.sleep(_LOOK_S)
        else:
            return
