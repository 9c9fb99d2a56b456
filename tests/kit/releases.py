"""A real signing desk with real keys, releases made on it, and what a host gets of them."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from agentd.updater.verifying import ARTEFACT, METADATA, Here, RequestedRelease, Verified, trust, verify
from controlplane.releases import building
from controlplane.releases.building import Built
from controlplane.releases.keys import KeyRing
from controlplane.releases.signing import SigningDesk, first_root

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY_S = 86400.0
ARCHITECTURE = "x86_64"
PASSPHRASE = "correct horse battery"
ONLINE_PASSPHRASE = "staple of the machine"


class Forge:
    """Someone who makes and signs releases, below `home`; one who was there before goes on."""

    def __init__(
        self,
        home: Path,
        counts: dict[str, int] | None = None,
        thresholds: dict[str, int] | None = None,
        now: datetime = NOW,
    ) -> None:
        self.home = home
        self.now = now
        self.offline = KeyRing(home / "keys", PASSPHRASE, kdf_rounds=1)
        self.online = KeyRing(home / "keys" / "online", ONLINE_PASSPHRASE, kdf_rounds=1)
        self.repository = home / "repository"
        if not self.repository.exists():
            self.desk().begin(first_root(self.offline, self.online, now, counts or {}, thresholds or {}))
        self.first_root = (self.repository / "metadata" / "1.root.json").read_bytes()

    def desk(self, now: datetime | None = None) -> SigningDesk:
        """The desk, at an instant."""
        return SigningDesk(self.repository, now or self.now)

    def build(self, version: str, *, architecture: str = ARCHITECTURE, min_from: str = "", extra: str = "") -> Built:
        """An artefact of a small tree."""
        tree = self.home / f"tree-{version}-{architecture}{extra}"
        a_tree(tree, version + extra)
        return building.build(tree, version, architecture, min_from, self.home / f"{tree.name}.tar.zst")

    def release(
        self,
        version: str,
        *,
        now: datetime | None = None,
        back_from: str = "",
        architecture: str = ARCHITECTURE,
        min_from: str = "",
    ) -> Built:
        """Build, sign and refresh."""
        built = self.build(version, architecture=architecture, min_from=min_from)
        desk = self.desk(now)
        desk.add(built, self.offline, back_from)
        desk.refresh(self.online)
        return built


class Host:
    """A host below `home`, with the root it was installed with."""

    def __init__(self, home: Path, root: bytes, version: str = "0.1.0") -> None:
        self.home = home
        self.incoming, self.trusted = home / "incoming", home / "tuf"
        self.here = Here(version, ARCHITECTURE, home / "work", home / "versions")
        self.incoming.mkdir(parents=True, exist_ok=True)
        self.here.versions.mkdir(exist_ok=True)
        trust(root, self.trusted)

    def fetch(self, repository: Path, built: Built | None) -> None:
        """Put into `incoming` what a repository has, and an artefact."""
        shutil.rmtree(self.incoming, ignore_errors=True)
        shutil.copytree(repository / "metadata", self.incoming / METADATA)
        if built is not None:
            shutil.copyfile(built.path, self.incoming / ARTEFACT)

    def verify(self, wanted: RequestedRelease, now: datetime = NOW) -> Verified:
        """Ask the real verifier."""
        return verify(self.incoming, self.trusted, wanted, self.here, now.timestamp())

    def state(self) -> dict[str, bytes | str]:
        """Everything that a refused upgrade must leave as it was: trusted metadata and unpacked releases."""
        found: dict[str, bytes | str] = {}
        for top in (self.trusted, self.here.versions):
            for path in sorted(top.rglob("*")):
                name = str(path.relative_to(self.home))
                found[name] = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else ""
        return found


def wanted(built: Built) -> RequestedRelease:
    """What an honest control plane asks for."""
    return RequestedRelease(built.version, built.digest, building.target_path(built.version, built.architecture))


def files_of(repository: Path) -> dict[str, bytes]:
    """Signed metadata of a repository, by name."""
    return {path.name: path.read_bytes() for path in (repository / "metadata").iterdir()}


def a_tree(tree: Path, text: str) -> None:
    """A small relocatable tree: a program, a library, a link, and an executable bit."""
    (tree / "bin").mkdir(parents=True, exist_ok=True)
    (tree / "lib").mkdir(exist_ok=True)
    program = tree / "bin" / "haulier-agentd"
    program.write_text(f"#!/bin/sh\necho {text}\n")
    program.chmod(0o775)
    (tree / "lib" / "module.py").write_text("VALUE = 1\n" * 300)
    if not (tree / "lib" / "alias.py").is_symlink():
        (tree / "lib" / "alias.py").symlink_to("module.py")
    os.utime(program, (1, 1))
