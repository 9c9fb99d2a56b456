"""Where published releases lie on the control plane: files below its state directory, whole or not at all.

metadata/NUMBER/…   everything that was proven, one directory a publication;  metadata/current → NUMBER
artefacts/SHA256    incoming/SHA256.part
"""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from controlplane import durable
from controlplane.releases.problems import Unproven
from controlplane.releases.verification import FILE_BYTES_MAX, Proven, Target, prove

CURRENT = "current"


class Repository:
    """Signed metadata and artefacts. Calls block on the disk; run them in a thread. Raise OSError where it fails."""

    def __init__(self, directory: Path) -> None:
        """Open what was published before; where that is broken, `broken` says so, and nothing is served."""
        self.directory = directory
        self._metadata = directory / "metadata"
        self._artefacts = directory / "artefacts"
        self._incoming = directory / "incoming"
        self.proven: Proven | None = None
        self.broken = ""
        for path in (self._metadata, self._artefacts, self._incoming):
            durable.make_directory(path)
        current = self._metadata / CURRENT
        if current.exists():
            files = {path.name: path.read_bytes() for path in current.iterdir()}
            try:
                # It was in time when it was published; that it has ended since is for hosts to notice.
                self.proven = prove(files, {}, 0.0)
            except Unproven as problem:
                self.broken = f"{current} is broken: {problem}; remove {self._metadata} and publish again"

    # What agents and rollouts ask.

    @property
    def files(self) -> Mapping[str, bytes]:
        """Signed metadata by name."""
        return {} if self.proven is None else self.proven.files

    def targets(self) -> tuple[Target, ...]:
        """Releases that hosts can be brought to, newest first."""
        return () if self.proven is None else self.proven.releases

    def find(self, version: str, architecture: str) -> Target | None:
        """The release of a version for an architecture, if it was published."""
        return next(
            (each for each in self.targets() if (each.version, each.architecture) == (version, architecture)), None
        )

    def artefact(self, target_path: str) -> tuple[Path, Target] | None:
        """Where a target's artefact lies. The name is looked up, never used as a path."""
        for each in self.targets():
            if each.target_path == target_path:
                return self._artefacts / each.digest, each
        return None

    # What a publisher does.

    def check(self, files: Mapping[str, bytes], now: float) -> Proven:
        """Verify an offer against what is published. `now` is unix seconds. Raises Unproven; changes nothing."""
        if self.broken:
            raise Unproven("broken", self.broken)
        for name, data in files.items():
            if len(data) > FILE_BYTES_MAX:
                raise Unproven("bad_metadata", f"{name[:200]!r} is longer than {FILE_BYTES_MAX} bytes")
        return prove(files, self.files, now)

    def lacks(self, proven: Proven) -> list[Target]:
        """Targets whose artefacts are not here yet, or not whole any more."""
        return [each for each in proven.releases if not self._has(each)]

    def _has(self, target: Target) -> bool:
        path = self._artefacts / target.digest
        return path.exists() and path.stat().st_size == target.length

    def here_bytes(self, target: Target) -> int:
        """Bytes of an artefact that an earlier try has left."""
        part = self._part(target)
        return min(part.stat().st_size, target.length) if part.exists() else 0

    def append(self, target: Target, offset: int, data: bytes) -> int:
        """Keep the next bytes of an artefact; returns how many are here. Raises Unproven for too many or a gap."""
        if offset != self.here_bytes(target) or offset + len(data) > target.length:
            raise Unproven("bad_artefact", f"{target.target_path}: {len(data)} bytes at {offset} do not fit")
        with self._part(target).open("ab") as file:
            file.write(data)
        return offset + len(data)

    def complete(self, target: Target) -> None:
        """Take an artefact whose bytes are all here. Raises Unproven when they are not those that were signed."""
        part = self._part(target)
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        durable.sync(part)
        if found != target.digest:
            part.unlink()
            raise Unproven(
                "bad_artefact",
                f"{target.target_path}: its SHA-256 is {found}, signed is {target.digest}",
                "the file in the repository was changed after it was signed: sign it again under a higher version",
            )
        durable.move(part, self._artefacts / target.digest)

    def commit(self, proven: Proven) -> None:
        """Serve this from now on, and drop what it no longer names."""
        numbers = [int(path.name) for path in self._metadata.iterdir() if path.name.isdigit()]
        fresh = self._metadata / str(max(numbers, default=0) + 1)
        durable.fill_directory(fresh, proven.files)
        durable.point(self._metadata / CURRENT, fresh.name)
        self.proven = proven
        self._tidy(fresh, {each.digest for each in proven.releases})

    def _tidy(self, current: Path, named: set[str]) -> None:
        for path in self._metadata.iterdir():
            if path.name.isdigit() and path != current:
                shutil.rmtree(path)
        for path in [*self._artefacts.iterdir(), *self._incoming.iterdir()]:
            if path.name.removesuffix(".part") not in named:
                path.unlink()

    def _part(self, target: Target) -> Path:
        return self._incoming / f"{target.digest}.part"
