"""An attempt is a directory; these are its files and who writes them.

spec      daemon, before the child exists: the grant and the settings it runs under (mode 0600)
child     child, first thing: its process identity; written once. A daemon that finds none after a restart
          writes a tombstone in its place, so that a child that comes late sees that it was given up
stdout    child: everything that the step prints
progress  child: a fixed record, overwritten in place
stage     child: the stage's whole text, where it is longer than the record holds
point     child: the last named point it reached
reserve   child: room for its result, kept from the start
result    child, last thing: the outcome, synced before it gets its name
end       runner host: which signal ended the child, if one did and the host saw it; only ever an explanation
deadline  daemon: until when the child may do what
cancel    daemon: the child is asked to stop
"""

import contextlib
import json
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agentd.core.grants import Grant, Outcome, Progress
from agentd.disk import durable
from agentd.journal.encoding import (
    Undecodable,
    grant_from_text,
    grant_to_text,
    outcome_from_text,
    outcome_to_text,
)
from agentd.processes.identity import ProcessIdentity

ATTEMPTS = "attempts"
_STAGE_BYTES_MAX = 64
_RESERVE_BYTES = 128 * 1024
_PROGRESS = struct.Struct(f"<QQQH{_STAGE_BYTES_MAX}sI")
_UINT64_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class ChildSettings:
    """What the host lets a child have. `environment` are names, never values; `cgroups` maps the controllers of control
    groups to the directories that the child joins."""

    policy_path: str
    environment: tuple[str, ...] = ()
    stop_at: str = ""
    cgroups: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spec:
    """Everything a child is told."""

    grant: Grant
    settings: ChildSettings


@dataclass(frozen=True, slots=True)
class Deadlines:
    """CLOCK_BOOTTIME seconds: unfenced or destructive work before `destroy_at`, any work before `end_at`."""

    destroy_at: float
    end_at: float


class AttemptDirectory:
    """The files of one attempt. Every read returns None where the file is not there (yet) or not whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._progress_fd: int | None = None

    @property
    def attempt_id(self) -> str:
        """The attempt's id, which is the directory's name."""
        return self.path.name

    @property
    def stdout_path(self) -> Path:
        """Where the step's output goes."""
        return self.path / "stdout"

    # The daemon's side.

    def create(self, spec: Spec) -> None:
        """Make the directory with its spec. Harmless when it is there already."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = spec.settings
        told = {
            "grant": grant_to_text(spec.grant),
            "policy_path": settings.policy_path,
            "environment": list(settings.environment),
            "stop_at": settings.stop_at,
            "cgroups": dict(settings.cgroups),
        }
        self._replace("spec", json.dumps(told).encode("utf-8"))

    def write_deadlines(self, deadlines: Deadlines) -> None:
        """Tell the child its deadlines."""
        text = f"{deadlines.destroy_at!r} {deadlines.end_at!r}\n"
        self._replace("deadline", text.encode("ascii"))

    def ask_to_stop(self, reason: str) -> None:
        """Raise the cancel flag."""
        self._replace("cancel", reason.encode("utf-8"))

    def bury(self) -> bool:
        """Take the child's place if no child ever came; False when one did."""
        return self._write_child({"lost": True})

    # The child's side.

    def read_spec(self) -> Spec:
        """What the child is to do. Raises Undecodable."""
        try:
            told = json.loads((self.path / "spec").read_bytes())
            return Spec(
                grant_from_text(told["grant"]),
                ChildSettings(
                    str(told["policy_path"]),
                    tuple(str(name) for name in told.get("environment", ())),
                    str(told.get("stop_at", "")),
                    # Attempts that the release before this one began say "cages".
                    {str(name): str(cgroup) for name, cgroup in told.get("cgroups", told.get("cages", {})).items()},
                ),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Undecodable(f"{self.path / 'spec'}: {error!r}") from error

    def claim(self, who: ProcessIdentity) -> bool:
        """Become this attempt's only child; False when there was one before, or it was given up."""
        return self._write_child({"pid": who.pid, "start_ticks": who.start_ticks, "boot_id": who.boot_id})

    def _write_child(self, told: dict[str, object]) -> bool:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            durable.create(self.path / "child", json.dumps(told).encode("ascii"), synced=False)
        except FileExistsError:
            return False
        return True

    def reserve(self) -> None:
        """Keep room for a result."""
        descriptor = os.open(self.path / "reserve", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, _RESERVE_BYTES)
        finally:
            os.close(descriptor)

    def write_end(self, how: str) -> None:
        """Note how the child ended, where the runner host saw it."""
        self._replace("end", how.encode("utf-8"))

    def read_end(self) -> str:
        """How the child ended, as far as the runner host saw it; empty where it did not."""
        return (self._read("end") or b"").decode("utf-8", "replace")

    def write_progress(self, progress: Progress) -> None:
        """Overwrite the progress record: one small write, no sync."""
        if self._progress_fd is None:
            flags = os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC
            self._progress_fd = os.open(self.path / "progress", flags, 0o600)
        stage = _shortened(progress.stage)
        if len(stage) == _STAGE_BYTES_MAX:
            self._replace("stage", progress.stage.encode("utf-8"))
        numbers = [min(max(n, 0), _UINT64_MAX) for n in (progress.watermark, progress.total, progress.done_bytes)]
        body = _PROGRESS.pack(*numbers, len(stage), stage, 0)[:-4]
        os.pwrite(self._progress_fd, body + struct.pack("<I", zlib.crc32(body)), 0)

    def write_point(self, point: str) -> None:
        """Note the last named point that the child reached."""
        self._replace("point", point.encode("utf-8"))

    def write_result(self, outcome: Outcome) -> None:
        """Make the outcome durable, then visible. The first one stays: a second is dropped."""
        # Room that was kept for this moment: a full disk must not take the reason along.
        (self.path / "reserve").unlink(missing_ok=True)
        try:
            durable.create(self.path / "result", outcome_to_text(outcome).encode("utf-8"))
        except FileExistsError:
            # Whose it is may not have made its name durable yet.
            durable.sync(self.path)

    def stop_asked(self) -> bool:
        """Whether the cancel flag is up."""
        return (self.path / "cancel").exists()

    # Both sides.

    def read_child(self) -> ProcessIdentity | None:
        """Who the child is; None where none came or it was given up."""
        told = self._read_json("child")
        if told is None or "pid" not in told:
            return None
        return ProcessIdentity(int(told["pid"]), int(told["start_ticks"]), str(told["boot_id"]))

    def read_progress(self) -> Progress | None:
        """How far the child says it is."""
        data = self._read("progress")
        if data is None or len(data) != _PROGRESS.size:
            return None
        watermark, total, done_bytes, length, stage, checksum = _PROGRESS.unpack(data)
        if checksum != zlib.crc32(data[:-4]):
            return None
        # A record without its text, or with a newer one, is of a moment ago: the next is right.
        whole = (self._read("stage") or b"") if length == _STAGE_BYTES_MAX else b""
        told = whole if whole.startswith(stage) else stage[:length]
        return Progress(watermark, total, done_bytes, told.decode("utf-8", "replace"))

    def read_deadlines(self) -> Deadlines | None:
        """Until when the child may do what."""
        data = self._read("deadline")
        if data is None:
            return None
        destroy_at, end_at = data.split()
        return Deadlines(float(destroy_at), float(end_at))

    def read_result(self) -> Outcome | None:
        """The outcome that the child left. Raises Undecodable for a file that is not an outcome."""
        data = self._read("result")
        return None if data is None else outcome_from_text(data.decode("utf-8", "replace"))

    def _read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def _read_json(self, name: str) -> dict[str, str] | None:
        data = self._read(name)
        if data is None:
            return None
        told: dict[str, str] = json.loads(data)
        return told

    def _replace(self, name: str, data: bytes) -> None:
        # No attempt begins on another boot than that of its grant: a loss of power makes all of this void.
        durable.replace(self.path / name, data, synced=False)


def written_down(state: Path) -> list[tuple[Grant, Outcome | None]]:
    """Every attempt whose directory is there, with its outcome where it left one; what cannot be read is left out."""
    found = []
    for path in sorted((state / ATTEMPTS).glob("*")):
        files = AttemptDirectory(path)
        with contextlib.suppress(Undecodable, OSError):
            found.append((files.read_spec().grant, files.read_result()))
    return found


def _shortened(stage: str) -> bytes:
    return stage.encode("utf-8")[:_STAGE_BYTES_MAX]
