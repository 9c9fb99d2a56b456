"""Whether a release that lies in `incoming` may run here: decided by signatures and this host's own rules alone.

The control plane *directs* (it names a version, a digest and a path); what it names must be what the offline keys have
signed. `incoming` belongs to the agent's user, so everything is copied before it is looked at, and nothing is copied
beyond its limit. The trusted metadata is replaced only when everything held.

Numbers such as 5.3.4 are sections of The Update Framework's specification 1.0 (its client workflow). Signatures,
versions and expiry are checked by python-tuf's ``TrustedMetadataSet``, lengths, order and files here.
"""

import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from tuf.api import exceptions
from tuf.api.metadata import MetaFile, Snapshot, TargetFile, Targets
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from agentd.disk import durable
from agentd.updater import versions
from agentd.updater.refusing import Refused, of_os_error

METADATA = "metadata"
ARTEFACT = "artefact"
ROOT = "root.json"
SYSTEM = "linux"
# Longest that each role's metadata may be; whatever is longer is not read.
METADATA_BYTES_MAX = {"root": 512 * 1024, "timestamp": 16 * 1024, "snapshot": 1024 * 1024, "targets": 4 * 1024 * 1024}
# Roots followed in one go, from the trusted one to the newest.
ROOTS_MAX = 128
ARTEFACT_BYTES_MAX = 4 * 1024**3
UNPACKED_BYTES_MAX = 16 * 1024**3
# How a target's custom metadata names what we call …
_SAID = {name: name for name in ("version", "architecture", "min_from", "back_from")} | {"system": "os"}
_PIECE_BYTES = 1024 * 1024
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class RequestedRelease:
    """What the control plane asks for; none of it is believed. `digest` is the artefact's SHA-256, hex."""

    version: str
    digest: str
    target_path: str


@dataclass(frozen=True, slots=True)
class Here:
    """What this host is: its running version ("" when none was installed as a release), its architecture as uname
    says it, a directory of the updater's own for copies, and where releases are unpacked.

    `allow_downgrade` is for the host's owner only; the control plane never sets it.
    """

    version: str
    architecture: str
    work: Path
    versions: Path
    allow_downgrade: bool = False


@dataclass(frozen=True, slots=True)
class Verified:
    """A release that may run here, copied to `artefact` where the agent's user cannot change it."""

    artefact: Path
    version: str
    digest: str
    architecture: str
    min_from: str
    length: int
    unpacked_bytes: int


def trust(root: bytes, trusted: Path) -> None:
    """Lay down the first trusted root. Never replaces one: later roots come signed by the one before.

    Raises Refused when `root` is no root that its own keys signed.
    """
    with _tuf_errors():
        TrustedMetadataSet(root, EnvelopeType.METADATA)
    durable.make_directory(trusted)
    if not (trusted / ROOT).exists():
        durable.replace(trusted / ROOT, root)


def verify(incoming: Path, trusted: Path, wanted: RequestedRelease, here: Here, now: float) -> Verified:
    """Check what lies in `incoming` against `trusted`; `now` is unix seconds by this host's wall clock.

    Raises Refused with nothing changed below `trusted`, or OSError when the disk itself fails.
    """
    chain = _Chain(incoming, trusted, now)
    with _tuf_errors():
        chain.follow()
    target = _signed_target(chain.targets, wanted)
    told = _described(target, wanted)
    _check_rules(told, here)
    _check_room(target.length, told.unpacked_bytes, here)
    artefact = here.work / f"{wanted.digest}.tar.zst"
    try:
        _copy(incoming, artefact, target.length, wanted.digest)
        chain.commit()
    except OSError as error:
        raise of_os_error(error) from error
    return Verified(
        artefact, told.version, wanted.digest, told.architecture, told.min_from, target.length, told.unpacked_bytes
    )


class _Chain:
    """Root → timestamp → snapshot → targets, each signed by what the one before says."""

    def __init__(self, incoming: Path, trusted: Path, now: float) -> None:
        self._incoming = incoming
        self._trusted = trusted
        self._now = datetime.fromtimestamp(now, UTC)
        self._fresh: dict[str, bytes] = {}
        self._set: TrustedMetadataSet

    @property
    def targets(self) -> Targets:
        """The verified targets metadata."""
        return self._set.targets

    def follow(self) -> None:
        """Load everything. Raises Refused and the errors of tuf."""
        # 5.2: the root that is trusted already.
        root = self._kept(ROOT)
        if root is None:
            path = self._trusted / ROOT
            raise Refused("no_trusted_root", f"there is no trusted root at {path}: `haulier-updater trust FILE`")
        self._set = TrustedMetadataSet(root, EnvelopeType.METADATA)
        # 5.1: one instant for all that may have expired.
        self._set.reference_time = self._now
        # 5.3.2, 5.3.3 and 5.3.9: each root that follows, up to a length and a number.
        for _ in range(ROOTS_MAX):
            root = self._came(f"{self._set.root.version + 1}.root.json", "root")
            if root is None:
                break
            # 5.3.4: signed by the root before and by itself. 5.3.5: exactly the next version.
            # 5.3.6: it may have expired.
            self._set.update_root(root)
            # 5.3.7; 5.3.8 waits until all of the rest held.
            self._fresh[ROOT] = root
        self._follow_timestamp()
        self._follow_role(Snapshot.type, self._set.update_snapshot)
        self._follow_role(Targets.type, self._set.update_targets)

    def commit(self) -> None:
        """Trust from now on what was followed: 5.3.8, 5.4.5, 5.5.7 and 5.6.6, later than the specification has them.

        Each file by itself is old or new; any mixture of them is safe, because each is verified again before it is
        believed."""
        for name, data in self._fresh.items():
            durable.replace(self._trusted / name, data)

    def _follow_timestamp(self) -> None:
        """5.4, and before it 5.3.10: the newest root must not have expired."""
        kept = self._kept("timestamp.json")
        if kept is not None:
            # 5.3.11: what a newer root no longer accepts is forgotten, which is the way back from a fast-forward.
            with contextlib.suppress(exceptions.RepositoryError):
                self._set.update_timestamp(kept)
        # 5.4.1: what came, up to a length.
        came = self._came("timestamp.json", "timestamp")
        if came is None:
            raise Refused("incomplete", "timestamp.json has not come yet")
        # 5.4.2: signed. 5.4.3: no older than the kept one, nor the snapshot that it names. 5.4.4: not expired.
        with contextlib.suppress(exceptions.EqualVersionNumberError):
            self._set.update_timestamp(came)
            self._fresh["timestamp.json"] = came

    def _follow_role(self, role: str, update: Any) -> None:
        """5.5 for the snapshot, 5.6 for the targets: what is kept, if it is the very one named, else what came."""
        kept = self._kept(f"{role}.json")
        if kept is not None:
            try:
                # 5.5.5: a kept snapshot counts also when it is no longer the newest, as nothing may fall behind it.
                update(kept, trusted=True) if role == Snapshot.type else update(kept)
                self._named(role).verify_length_and_hashes(kept)
            except exceptions.RepositoryError:
                pass
            else:
                return
        name = f"{self._named(role).version}.{role}.json"
        # 5.5.1, 5.6.1: under the name of its version, up to a length.
        came = self._came(name, role)
        if came is None:
            raise Refused("incomplete", f"{name} has not come yet")
        # 5.5.2, 5.6.2: the hash that is named. 5.5.3, 5.6.3: signed. 5.5.4, 5.6.4: the version that is named.
        # 5.5.5: no part older than before. 5.5.6, 5.6.5: not expired.
        update(came)
        self._fresh[f"{role}.json"] = came

    def _named(self, role: str) -> MetaFile:
        """How the role above names this one."""
        if role == Snapshot.type:
            return self._set.timestamp.snapshot_meta
        meta = self._set.snapshot.meta.get("targets.json")
        if meta is None:
            raise Refused("bad_metadata", "the snapshot does not name targets.json")
        return meta

    def _kept(self, name: str) -> bytes | None:
        try:
            return (self._trusted / name).read_bytes()
        except FileNotFoundError:
            return None

    def _came(self, name: str, role: str) -> bytes | None:
        limit = METADATA_BYTES_MAX[role]
        file = _opened(self._incoming, METADATA, name)
        if file is None:
            return None
        with file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise Refused("bad_metadata", f"{name} is longer than {limit} bytes")
        return data


@dataclass(frozen=True, slots=True)
class _Told:
    """What the signed metadata says of a target beyond its digest."""

    version: str
    architecture: str
    system: str
    min_from: str
    back_from: str
    unpacked_bytes: int


def _signed_target(targets: Targets, wanted: RequestedRelease) -> TargetFile:
    """5.6.7, without delegations, and 5.7.2: what the targets say of the path that is wanted."""
    target = targets.targets.get(wanted.target_path)
    if target is None:
        raise Refused("unknown_target", f"{wanted.target_path[:200]!r} is not among the signed targets")
    if target.hashes.get("sha256") != wanted.digest:
        raise Refused(
            "digest_differs",
            f"the control plane wants {wanted.digest[:64]!r}, signed is {target.hashes.get('sha256')!r}",
        )
    if not 0 < target.length <= ARTEFACT_BYTES_MAX:
        raise Refused("bad_metadata", f"the artefact would have {target.length} bytes")
    return target


def _described(target: TargetFile, wanted: RequestedRelease) -> _Told:
    custom = target.custom if isinstance(target.custom, dict) else {}
    texts = {name: custom.get(said, "") for name, said in _SAID.items()}
    unpacked_bytes = custom.get("unpacked_bytes")
    if not all(isinstance(text, str) for text in texts.values()) or type(unpacked_bytes) is not int:
        raise Refused("bad_metadata", "the signed target does not say what it is")
    told = _Told(**texts, unpacked_bytes=unpacked_bytes)
    if not 0 < unpacked_bytes <= UNPACKED_BYTES_MAX:
        raise Refused("bad_metadata", f"the release would unpack to {unpacked_bytes} bytes")
    if told.version != wanted.version:
        raise Refused("digest_differs", f"the control plane wants {wanted.version[:40]!r}, signed is {told.version!r}")
    return told


def _check_rules(told: _Told, here: Here) -> None:
    """The host's own rules."""
    if told.system != SYSTEM:
        raise Refused("wrong_system", f"the release is for {told.system!r}, this host runs {SYSTEM}")
    if told.architecture != here.architecture:
        raise Refused(
            "wrong_architecture", f"the release is for {told.architecture!r}, this host is {here.architecture!r}"
        )
    try:
        new = versions.parse(told.version)
        min_from = versions.parse(told.min_from) if told.min_from else None
        back_from = versions.parse(told.back_from) if told.back_from else None
    except ValueError as error:
        raise Refused("bad_metadata", str(error)) from None
    if not here.version:
        return
    try:
        running = versions.parse(here.version)
    except ValueError:
        # Built from a checkout: it has no place in the order, so no rule of order can hold.
        return
    if new < running and not here.allow_downgrade and not (back_from is not None and running <= back_from):
        raise Refused("downgrade", f"{told.version} is older than the running {here.version}")
    if min_from is not None and running < min_from:
        raise Refused(
            "too_old_to_follow",
            f"{told.version} follows {told.min_from} or newer, and {here.version} runs: take a release between them",
        )


def _check_room(length: int, unpacked_bytes: int, here: Here) -> None:
    """The copy, and twice what is unpacked, must fit: an upgrade that fills the disk would stop the running work."""
    durable.make_directory(here.work)
    durable.make_directory(here.versions, mode=0o755)
    needed_bytes = {here.work.stat().st_dev: length}
    device = here.versions.stat().st_dev
    needed_bytes[device] = needed_bytes.get(device, 0) + 2 * unpacked_bytes
    for path in (here.work, here.versions):
        room = os.statvfs(path)
        free_bytes = room.f_bavail * room.f_frsize
        wanted_bytes = needed_bytes[path.stat().st_dev]
        if free_bytes < wanted_bytes:
            raise Refused("disk_full", f"{path} has {free_bytes} bytes free, and the release needs {wanted_bytes}")


def _copy(incoming: Path, to: Path, length: int, digest: str) -> None:
    """5.7.3: copy the artefact out of the agent's reach, at most `length` bytes, if they are the signed ones."""
    for left in to.parent.glob("*.tar.zst*"):
        left.unlink()
    source = _opened(incoming, ARTEFACT)
    if source is None:
        raise Refused("incomplete", "the artefact has not come yet")
    with source, durable.replacing(to) as copy:
        size = os.fstat(source.fileno()).st_size
        if size != length:
            code = "incomplete" if size < length else "artefact_differs"
            raise Refused(code, f"the artefact has {size} bytes, signed are {length}")
        found = hashlib.sha256()
        left_bytes = length
        while left_bytes and (piece := source.read(min(_PIECE_BYTES, left_bytes))):
            found.update(piece)
            copy.write(piece)
            left_bytes -= len(piece)
        if found.hexdigest() != digest:
            raise Refused("artefact_differs", f"the artefact's SHA-256 is {found.hexdigest()}, signed is {digest}")


def _opened(directory: Path, *names: str) -> BinaryIO | None:
    """A regular file below `directory`, no link followed on the way and no pipe waited for; None if there is none.

    Raises Refused when something else has its name.
    """
    shown = "/".join(names)
    handle = -1
    try:
        handle = os.open(directory, _DIRECTORY)
        for name, flags in zip(names, (*[_DIRECTORY] * (len(names) - 1), _FILE), strict=True):
            parent, handle = handle, os.open(name, flags, dir_fd=handle)
            os.close(parent)
    except FileNotFoundError:
        if handle >= 0:
            os.close(handle)
        return None
    except OSError as error:
        if handle >= 0:
            os.close(handle)
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Refused("bad_artefact", f"{shown} is not a regular file, or lies behind a link") from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise Refused("bad_artefact", f"{shown} is not a regular file")
    return os.fdopen(handle, "rb")


@contextlib.contextmanager
def _tuf_errors() -> Iterator[None]:
    try:
        yield
    except exceptions.ExpiredMetadataError as error:
        raise Refused("metadata_expired", f"{error}: it must be signed again, or this host's clock is wrong") from error
    except exceptions.BadVersionNumberError as error:
        raise Refused("bad_version", str(error)) from error
    except exceptions.UnsignedMetadataError as error:
        raise Refused("bad_signature", str(error)) from error
    except exceptions.RepositoryError as error:
        # Some errors of the library carry no words.
        raise Refused("bad_metadata", str(error)[:300] or f"it cannot be read: {type(error).__name__}") from error
