"""Where attacks on releases happen: a real desk, a host that runs 0.2.0 and trusts what it saw, and a thief's copy."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import zstandard
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Snapshot, Timestamp

from agentd.updater.refusing import Refused
from agentd.updater.unpacking import RELEASE, unpack
from agentd.updater.verifying import ARTEFACT, METADATA, RequestedRelease
from controlplane.releases.building import Built, target_path
from controlplane.releases.signing import SigningDesk
from tests.kit.releases import ARCHITECTURE, NOW, Forge, Host, wanted

DAY = timedelta(days=1)
RUNNING = "0.2.0"
NEWEST = "0.3.0"


class Stage:
    """Everything that attacks start from, made once and copied for each."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.before: dict[str, Path] = {}
        forge = Forge(home / "forge")
        host = Host(home / "host", forge.first_root, RUNNING)
        for day, version in enumerate(("0.1.0", RUNNING)):
            built = forge.release(version, now=NOW + day * DAY)
            shutil.copytree(forge.repository, home / f"at-{version}")
        host.fetch(forge.repository, built)
        unpack(host.verify(wanted(built), NOW + DAY), host.here.versions)
        for version, architecture, min_from in (
            (NEWEST, ARCHITECTURE, ""),
            (NEWEST, "aarch64", ""),
            ("0.9.0", ARCHITECTURE, "0.8.0"),
        ):
            forge.release(version, now=NOW + 2 * DAY, architecture=architecture, min_from=min_from)
        # Every scene is a copy, and needs the artefacts only.
        for tree in [path for path in forge.home.glob("tree-*") if path.is_dir()]:
            shutil.rmtree(tree)

    def scene(self, home: Path) -> "Scene":
        """A copy to do harm in."""
        shutil.copytree(self.home, home, symlinks=True)
        return Scene(home)


class Scene:
    """One attack's world. `hostile` is a repository that the attacker serves, at first a copy of the newest."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.now = NOW + 2 * DAY
        self.forge = Forge(home / "forge", now=self.now)
        self.host = Host(home / "host", self.forge.first_root, RUNNING)
        self.hostile = home / "hostile"
        shutil.copytree(self.forge.repository, self.hostile)
        self.served = self.hostile
        self.seen = self.at(RUNNING)
        self.wish = wanted(self.built(NEWEST))

    def built(self, version: str, architecture: str = ARCHITECTURE) -> Built:
        """An artefact that the forge made."""
        from controlplane.releases.building import read

        return read(self.forge.home / f"tree-{version}-{architecture}.tar.zst")

    def at(self, version: str) -> Path:
        """The repository as it was when `version` was the newest."""
        return self.home / f"at-{version}"

    def stolen(self, role: str) -> list[CryptoSigner]:
        """The keys of a role, in wrong hands."""
        ring = self.forge.online if role in ("snapshot", "timestamp") else self.forge.offline
        return ring.signers(role)

    def path(self, role: str) -> Path:
        """The attacker's newest metadata of a role."""
        if role == "timestamp":
            return self.hostile / METADATA / "timestamp.json"
        found = (self.hostile / METADATA).glob(f"*.{role}.json")
        return max(found, key=lambda path: int(path.name.split(".")[0]))

    def forged(
        self,
        role: str,
        change: Callable[[Any], None],
        signers: Sequence[CryptoSigner],
        name: str = "",
        *,
        keep: bool = False,
    ) -> None:
        """Change what a role says and sign it with `signers`; its old signatures stay if `keep`."""
        metadata: Metadata[Any] = Metadata.from_bytes(self.path(role).read_bytes())
        change(metadata.signed)
        if not keep:
            metadata.signatures.clear()
        for signer in signers:
            metadata.sign(signer, append=True)
        version = metadata.signed.version
        at = self.hostile / METADATA / (name or ("timestamp.json" if role == "timestamp" else f"{version}.{role}.json"))
        at.write_bytes(metadata.to_bytes())

    def rechain(self, snapshot: Sequence[CryptoSigner], timestamp: Sequence[CryptoSigner]) -> None:
        """Name the attacker's newest targets in a new snapshot, and that in a new timestamp."""
        meta = self.meta_of("targets")

        def of_snapshot(signed: Snapshot) -> None:
            signed.version += 1
            signed.meta = {"targets.json": meta}

        self.forged("snapshot", of_snapshot, snapshot)
        self.name_snapshot(timestamp)

    def meta_of(self, role: str) -> MetaFile:
        """How the attacker's newest metadata of a role is named by the role above it."""
        data = self.path(role).read_bytes()
        return MetaFile.from_data(json.loads(data)["signed"]["version"], data, ["sha256"])

    def name_snapshot(self, signers: Sequence[CryptoSigner]) -> None:
        """Name the attacker's newest snapshot in a new timestamp."""
        meta = self.meta_of("snapshot")

        def of_timestamp(signed: Timestamp) -> None:
            signed.version += 1
            signed.snapshot_meta = meta

        self.forged("timestamp", of_timestamp, signers)

    def hostile_desk(self) -> SigningDesk:
        """A desk over what the attacker serves, for what honest or stolen keys sign there."""
        return SigningDesk(self.hostile, self.now)

    def serve(self, artefact: Path | None = None, repository: Path | None = None) -> None:
        """Let the host's agent fetch the attacker's metadata, and an artefact (or else the newest one)."""
        self.served = repository or self.hostile
        self.host.fetch(self.served, None)
        shutil.copyfile(artefact or self.built(NEWEST).path, self.host.incoming / ARTEFACT)

    def sign_badly(self, artefact: Path, digest: str, unpacked_bytes: int) -> RequestedRelease:
        """What if people signed this? Returns what the control plane would ask for then, everything fetched."""
        built = Built(artefact, "0.4.0", ARCHITECTURE, "", digest, artefact.stat().st_size, unpacked_bytes)
        desk = self.forge.desk(self.now)
        desk.add(built, self.forge.offline)
        desk.refresh(self.forge.online)
        self.serve(artefact, self.forge.repository)
        return wanted(built)

    def take(self) -> str:
        """Let the host do what it is asked for; returns the code of its refusal, "" when it took the release."""
        try:
            unpack(self.host.verify(self.wish, self.now), self.host.here.versions)
        except Refused as refused:
            return refused.code
        return ""

    def take_honestly(self) -> str:
        """The true repository, renewed by those who may, brings the newest release; returns as `take`."""
        desk = self.forge.desk(self.now)
        if desk.root().signed.expires < self.now:
            desk.renew_root(self.forge.offline, new_keys=False)
        built = self.built(NEWEST)
        desk.add(built, self.forge.offline)
        desk.refresh(self.forge.online)
        self.host.fetch(self.forge.repository, built)
        self.wish = wanted(built)
        return self.take()


@dataclass(frozen=True)
class Member:
    """A member of a crafted archive."""

    name: str
    data: bytes = b""
    kind: bytes = tarfile.REGTYPE
    link: str = ""
    mode: int = 0o644
    headers: tuple[tuple[str, str], ...] = ()


def crafted(path: Path, members: Sequence[Member], listed: dict[str, Any] | None = None, **release: Any) -> int:
    """Write an archive with these members after a release.json that lists `listed`; returns its unpacked size."""
    told = {"format": 1, "version": "0.4.0", "architecture": ARCHITECTURE, "os": "linux", "min_from": ""}
    told |= {"files": listed if listed is not None else {each.name: described(each) for each in members}, **release}
    head = Member(RELEASE, json.dumps(told).encode())
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for each in (head, *members):
            info = tarfile.TarInfo(each.name)
            info.type, info.linkname, info.mode, info.size = each.kind, each.link, each.mode, len(each.data)
            info.pax_headers = dict(each.headers)
            archive.addfile(info, io.BytesIO(each.data))
    data = buffer.getvalue()
    path.write_bytes(zstandard.ZstdCompressor().compress(data))
    return len(data)


def described(member: Member) -> dict[str, Any]:
    """How release.json lists a member."""
    import hashlib

    if member.link:
        return {"link": member.link}
    mode = 0o755 if member.mode & 0o111 else 0o644
    return {"sha256": hashlib.sha256(member.data).hexdigest(), "mode": mode, "bytes": len(member.data)}


def asking(scene: Scene, **changes: str) -> RequestedRelease:
    """The honest wish with something changed."""
    return replace(scene.wish, **changes)


def path_of(version: str, architecture: str = ARCHITECTURE) -> str:
    """The target path of a release."""
    return target_path(version, architecture)


def later(days: float) -> datetime:
    """An instant after the newest release."""
    return NOW + 2 * DAY + days * DAY
