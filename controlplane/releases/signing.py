"""The signing desk: a directory with signed metadata and artefacts, changed by people and CI, never by a control plane.

metadata/N.root.json  metadata/N.targets.json  metadata/N.snapshot.json  metadata/timestamp.json
targets/haulier-agentd-VERSION-ARCHITECTURE.tar.zst
"""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Role, Root, Snapshot, T, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

from controlplane import durable
from controlplane.core import versions
from controlplane.releases import building
from controlplane.releases.building import Built
from controlplane.releases.keys import ONLINE, ROLES, KeyRing
from controlplane.releases.problems import ReleaseProblem

# How long signatures count. A timestamp is renewed by CI every day; who is kept from newer ones notices in a week.
DAYS = {"root": 730, "targets": 365, "snapshot": 30, "timestamp": 7}
# Which other keys are replaced with a role's: whoever held the key may have raised versions that they guard.
REPLACED_WITH = {
    "root": (),
    "targets": ("targets", "snapshot", "timestamp"),
    "snapshot": ("snapshot", "timestamp"),
    "timestamp": ("timestamp",),
}
_READABLE = JSONSerializer(compact=False)


@dataclass(frozen=True, slots=True)
class Missing:
    """Signatures that a role still lacks before anybody believes it."""

    role: str
    version: int
    signatures: int


class SigningDesk:
    """Metadata and artefacts below one directory. Every method raises ReleaseProblem and OSError.

    `offline` and `online` hold the keys that are here; `now` is an aware instant.
    """

    def __init__(self, directory: Path, now: datetime, timestamp_days: int = DAYS["timestamp"]) -> None:
        self.metadata_dir = directory / "metadata"
        self.targets_dir = directory / "targets"
        self._now = now.replace(microsecond=0)
        self._days = DAYS | {"timestamp": timestamp_days}

    # What there is.

    def root(self, version: int | None = None) -> Metadata[Root]:
        """The newest root, or the one of a version."""
        found = self._load("root", Root, version)
        if found is None:
            raise ReleaseProblem(
                f"{self.metadata_dir}: there is no root metadata yet",
                "`haulier release keys init` writes 1.root.json, and `haulier release sign` takes it from --keys",
            )
        return found

    def targets(self) -> Metadata[Targets] | None:
        """The newest targets metadata."""
        return self._load("targets", Targets)

    def snapshot(self) -> Metadata[Snapshot] | None:
        """The newest snapshot metadata."""
        return self._load("snapshot", Snapshot)

    def timestamp(self) -> Metadata[Timestamp] | None:
        """The timestamp metadata."""
        path = self.metadata_dir / "timestamp.json"
        return _read(path, Timestamp) if path.exists() else None

    def missing(self) -> list[Missing]:
        """Roles that lack signatures, root first."""
        found = []
        root = self.root()
        if root.signed.version > 1:
            before = self.root(root.signed.version - 1).signed
            both = root.signed.get_root_verification_result(before, root.signed_bytes, root.signatures)
            lacking = max(each.threshold - len(each.signed) for each in (both.first, both.second))
        else:
            own = root.signed.get_verification_result("root", root.signed_bytes, root.signatures)
            lacking = own.threshold - len(own.signed)
        if lacking > 0:
            found.append(Missing("root", root.signed.version, lacking))
        targets = self.targets()
        if targets is not None:
            result = root.signed.get_verification_result("targets", targets.signed_bytes, targets.signatures)
            if not result:
                found.append(Missing("targets", targets.signed.version, result.threshold - len(result.signed)))
        return found

    # What people do.

    def add(self, built: Built, offline: KeyRing, back_from: str = "") -> None:
        """Sign an artefact into the targets, and copy it here. `back_from`: the newest version that a control plane
        may bring back to this one; "" for none."""
        path = building.target_path(built.version, built.architecture)
        targets = self.targets()
        known = {} if targets is None else targets.signed.targets
        if path in known and known[path].hashes["sha256"] != built.digest:
            raise ReleaseProblem(
                f"{path} is signed already, with another digest", "a version is never used twice: build a higher one"
            )
        if back_from:
            versions.parse(back_from)
        durable.make_directory(self.targets_dir, mode=0o777)
        target = TargetFile(built.length, {"sha256": built.digest}, path)
        target.unrecognized_fields["custom"] = {
            "version": built.version,
            "architecture": built.architecture,
            "os": building.SYSTEM,
            "min_from": built.min_from,
            "back_from": back_from,
            "unpacked_bytes": built.unpacked_bytes,
        }
        _copy(built.path, self.targets_dir / path)
        self._sign_targets({**known, path: target}, offline)

    def allow_back(self, version: str, back_from: str, offline: KeyRing) -> None:
        """Sign that a control plane may bring hosts that run up to `back_from` back to `version`."""
        versions.parse(back_from)
        known = self._known_targets()
        for path in self._paths_of(version, known):
            known[path].unrecognized_fields["custom"] = {**known[path].custom, "back_from": back_from}
        self._sign_targets(known, offline)

    def withdraw(self, version: str, offline: KeyRing) -> None:
        """Take a release out of the targets: no host will go to it any more."""
        known = self._known_targets()
        for path in self._paths_of(version, known):
            del known[path]
        self._sign_targets(known, offline)

    def refresh(self, online: KeyRing) -> None:
        """Sign snapshot (when the targets changed, or it ends soon) and timestamp anew."""
        targets = self.targets()
        if targets is None:
            raise ReleaseProblem(
                f"{self.metadata_dir}: nothing is signed yet", "haulier release sign FILE --keys DIR --repository DIR"
            )
        root = self.root().signed
        snapshot = self.snapshot()
        meta = {"targets.json": _meta_of(targets)}
        soon = self._now + timedelta(days=self._days["snapshot"] / 2)
        stale = snapshot is None or snapshot.signed.meta != meta or snapshot.signed.expires < soon
        if stale or not _holds(root, "snapshot", snapshot):
            version = 1 if snapshot is None else snapshot.signed.version + 1
            snapshot = Metadata(Snapshot(version, expires=self._expires("snapshot"), meta=meta))
            self._sign(snapshot, "snapshot", online, root)
        assert snapshot is not None, "it was just made where there was none"
        before = self.timestamp()
        timestamp = Metadata(
            Timestamp(
                1 if before is None else before.signed.version + 1,
                expires=self._expires("timestamp"),
                snapshot_meta=_meta_of(snapshot),
            )
        )
        self._sign(timestamp, "timestamp", online, root)

    def renew_root(self, offline: KeyRing, *, new_keys: bool) -> None:
        """The next root: with new root keys, or with the same ones and a later end."""
        before = self.root().signed
        root = self._next_root()
        if new_keys:
            for key_id in list(root.roles["root"].keyids):
                root.revoke_key(key_id, "root")
                root.add_key(offline.make("root").public_key, "root")
        self._sign_root(root, before, offline)

    def revoke(self, key_id: str, offline: KeyRing, online: KeyRing) -> list[str]:
        """Replace a key, and those whose versions its holder may have raised; returns the roles that got new keys.

        `key_id` may be shortened. Hosts refuse everything that the old keys signed once they have the new root.
        """
        before = self.root().signed
        root = self._next_root()
        found = sorted({one for role in root.roles.values() for one in role.keyids if one.startswith(key_id)})
        if len(found) != 1 or len(key_id) < 6:
            raise ReleaseProblem(
                f"{key_id!r} is the beginning of {len(found)} key ids", "`haulier release keys list` shows them"
            )
        roles = [role for role in ROLES if found[0] in root.roles[role].keyids]
        for role in roles:
            root.revoke_key(found[0], role)
            root.add_key((online if role in ONLINE else offline).make(role).public_key, role)
        replaced = [other for role in roles for other in REPLACED_WITH[role] if other not in roles]
        gone = found
        for role in replaced:
            for old in list(root.roles[role].keyids):
                gone.append(old)
                root.revoke_key(old, role)
                root.add_key((online if role in ONLINE else offline).make(role).public_key, role)
        self._sign_root(root, before, offline)
        targets = self.targets()
        if targets is not None:
            if "targets" in roles:
                self._sign_targets(targets.signed.targets, offline)
            if {"targets", *ONLINE} & {*roles, *replaced}:
                self.refresh(online)
        for ring in (offline, online):
            ring.forget(gone)
        return [*roles, *replaced]

    def cosign(self, offline: KeyRing) -> int:
        """Add what signatures the keys here can give to the newest root and targets; returns how many were added."""
        added = 0
        root = self.root()
        before = self.root(max(1, root.signed.version - 1)).signed
        added += _sign_with(
            root, offline.holding("root", {*before.roles["root"].keyids, *root.signed.roles["root"].keyids})
        )
        self._write(f"{root.signed.version}.root.json", root)
        targets = self.targets()
        if targets is not None:
            added += _sign_with(targets, offline.holding("targets", root.signed.roles["targets"].keyids))
            self._write(f"{targets.signed.version}.targets.json", targets)
        return added

    def begin(self, root: bytes) -> None:
        """Put the first root here, unless there is one."""
        if not any(self.metadata_dir.glob("*.root.json")):
            durable.make_directory(self.metadata_dir, mode=0o777)
            durable.replace(self.metadata_dir / "1.root.json", root, mode=None)

    # How it is done.

    def _known_targets(self) -> dict[str, TargetFile]:
        targets = self.targets()
        return {} if targets is None else dict(targets.signed.targets)

    @staticmethod
    def _paths_of(version: str, known: dict[str, TargetFile]) -> list[str]:
        found = [path for path, target in known.items() if target.custom["version"] == version]
        if not found:
            raise ReleaseProblem(
                f"no release {version} is signed", "`haulier release list` shows those that are published"
            )
        return found

    def _sign_targets(self, known: dict[str, TargetFile], offline: KeyRing) -> None:
        before = self.targets()
        version = 1 if before is None else before.signed.version + 1
        targets = Metadata(Targets(version, expires=self._expires("targets"), targets=known))
        self._sign(targets, "targets", offline, self.root().signed)

    def _sign(self, metadata: Metadata[T], role: str, ring: KeyRing, root: Root) -> None:
        signers = ring.holding(role, root.roles[role].keyids)
        if not signers:
            raise ReleaseProblem(
                f"{ring.directory}: holds no key that root {root.version} accepts for {role}",
                "name the directory that does, with --keys or --online-keys",
            )
        _sign_with(metadata, signers)
        name = "timestamp.json" if role == "timestamp" else f"{metadata.signed.version}.{role}.json"
        self._write(name, metadata)

    def _next_root(self) -> Root:
        root = Root.from_dict(self.root().signed.to_dict())
        root.version += 1
        root.expires = self._expires("root")
        return root

    def _sign_root(self, root: Root, before: Root, offline: KeyRing) -> None:
        metadata = Metadata(root)
        signers = offline.holding("root", {*before.roles["root"].keyids, *root.roles["root"].keyids})
        if not any(signer.public_key.keyid in before.roles["root"].keyids for signer in signers):
            raise ReleaseProblem(
                f"{offline.directory}: holds no key that root {before.version} accepts for root", "name it with --keys"
            )
        _sign_with(metadata, signers)
        self._write(f"{root.version}.root.json", metadata)

    def _expires(self, role: str) -> datetime:
        return self._now + timedelta(days=self._days[role])

    def _write(self, name: str, metadata: Metadata[T]) -> None:
        durable.make_directory(self.metadata_dir, mode=0o777)
        durable.replace(self.metadata_dir / name, metadata.to_bytes(_READABLE), mode=None)

    def _load(self, role: str, kind: type[T], version: int | None = None) -> Metadata[T] | None:
        numbers = [int(path.name.split(".")[0]) for path in self.metadata_dir.glob(f"[0-9]*.{role}.json")]
        if not numbers or (version is not None and version not in numbers):
            return None
        return _read(self.metadata_dir / f"{version or max(numbers)}.{role}.json", kind)


def first_root(
    offline: KeyRing, online: KeyRing, now: datetime, counts: dict[str, int], thresholds: dict[str, int]
) -> bytes:
    """Make all keys and the first root, signed by every root key. Raises ReleaseProblem, OSError.

    `counts` and `thresholds` say how many keys root and targets have and how many must sign; the others have one.
    """
    for ring in (offline, online):
        if any(ring.signers(role) for role in ROLES):
            raise ReleaseProblem(
                f"{ring.directory}: holds keys already", "choose another directory: keys are never replaced"
            )
    for role, threshold in thresholds.items():
        if not 1 <= threshold <= counts.get(role, 1):
            raise ReleaseProblem(f"{threshold} of {counts.get(role, 1)} keys cannot be asked to sign for {role}")
    roles = {role: Role([], thresholds.get(role, 1)) for role in ROLES}
    expires = now.replace(microsecond=0) + timedelta(days=DAYS["root"])
    root = Root(1, expires=expires, keys={}, roles=roles, consistent_snapshot=True)
    signers: list[CryptoSigner] = []
    for role in ROLES:
        for _ in range(counts.get(role, 1)):
            signer = (online if role in ONLINE else offline).make(role)
            root.add_key(signer.public_key, role)
            signers += [signer] if role == "root" else []
    metadata = Metadata(root)
    _sign_with(metadata, signers)
    return metadata.to_bytes(_READABLE)


def _sign_with(metadata: Metadata[T], signers: Sequence[CryptoSigner]) -> int:
    """Sign; returns how many signatures are new."""
    fresh = [signer for signer in signers if signer.public_key.keyid not in metadata.signatures]
    for signer in fresh:
        metadata.sign(signer, append=True)
    return len(fresh)


def _holds(root: Root, role: str, metadata: Metadata[T] | None) -> bool:
    """Whether the signatures of `metadata` are those that `root` asks for."""
    return metadata is not None and bool(root.get_verification_result(role, metadata.signed_bytes, metadata.signatures))


def _meta_of(metadata: Metadata[T]) -> MetaFile:
    data = metadata.to_bytes(_READABLE)
    return MetaFile.from_data(metadata.signed.version, data, ["sha256"])


def _read(path: Path, kind: type[T]) -> Metadata[T]:
    try:
        metadata: Metadata[T] = Metadata[T].from_bytes(path.read_bytes())
    except RepositoryError as error:
        raise ReleaseProblem(f"{path}: is not signed metadata: {error}") from None
    if not isinstance(metadata.signed, kind):
        raise ReleaseProblem(f"{path}: is metadata of another role")
    return metadata


def _copy(source: Path, to: Path) -> None:
    if to.exists() and to.samefile(source):
        return
    with source.open("rb") as read, durable.replacing(to, mode=None) as written:
        shutil.copyfileobj(read, written)


def key_ids(root: Root) -> Iterable[tuple[str, str]]:
    """(role, key id) of every key that `root` accepts."""
    for role in ROLES:
        for key_id in sorted(root.roles[role].keyids):
            yield role, key_id
