"""Whether published metadata follows from what this control plane has: root → timestamp → snapshot → targets.

Numbers such as 5.3.4 are sections of The Update Framework's specification 1.0 (its client workflow). Signatures,
versions and expiry are checked by python-tuf's ``TrustedMetadataSet``, names and order here.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tuf.api import exceptions
from tuf.api.metadata import Snapshot, Targets
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from controlplane.core import versions
from controlplane.releases.problems import Unproven

ROOTS_MAX = 1000
FILE_BYTES_MAX = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """A release for one architecture, as signed. `digest` is the artefact's SHA-256, hex; `length` its bytes."""

    version: str
    architecture: str
    min_from: str
    back_from: str
    digest: str
    target_path: str
    length: int
    unpacked_bytes: int


@dataclass(frozen=True, slots=True)
class Proven:
    """Metadata that was verified: its files, and what they say. `ends_at` is when the first of them ends."""

    files: Mapping[str, bytes]
    root: int
    timestamp: int
    snapshot: int
    targets: int
    ends_at: datetime
    releases: tuple[Target, ...]


def prove(files: Mapping[str, bytes], known: Mapping[str, bytes], now: float) -> Proven:
    """Verify `files` (name → bytes), starting from `known`, which was proven before, or from their own first root.

    `now` is unix seconds; 0 asks whether they ever held. Raises Unproven.
    """
    with _tuf_errors():
        return _prove(files, known, datetime.fromtimestamp(now, UTC))


def _prove(files: Mapping[str, bytes], known: Mapping[str, bytes], now: datetime) -> Proven:
    used: dict[str, bytes] = {}
    trusted = _follow_roots(files, known, used)
    # 5.1: one instant for all that may have expired.
    trusted.reference_time = now
    # 5.3.10: the newest root has not expired. 5.4.2: signed. 5.4.3: no older than the known one. 5.4.4: not expired.
    _follow(trusted.update_timestamp, "timestamp.json", files, known, used)
    # 5.5.2: the hash that the timestamp names. 5.5.3: signed. 5.5.5: no part older than before. 5.5.6: not expired.
    _follow_newest(trusted.update_snapshot, Snapshot.type, trusted.timestamp.snapshot_meta.version, files, known, used)
    meta = trusted.snapshot.meta.get("targets.json")
    if meta is None:
        raise Unproven("bad_metadata", "the snapshot does not name targets.json")
    # 5.5.4: the snapshot's version. 5.6.2: the hash it names. 5.6.3: signed. 5.6.4: its version. 5.6.5: not expired.
    _follow_newest(trusted.update_targets, Targets.type, meta.version, files, {}, used)
    return Proven(
        used,
        trusted.root.version,
        trusted.timestamp.version,
        trusted.snapshot.version,
        trusted.targets.version,
        min(trusted.root.expires, trusted.timestamp.expires, trusted.snapshot.expires, trusted.targets.expires),
        tuple(sorted(_targets(trusted.targets), key=_order, reverse=True)),
    )


def _follow_roots(files: Mapping[str, bytes], known: Mapping[str, bytes], used: dict[str, bytes]) -> TrustedMetadataSet:
    """Every root from the first to the newest; those that are known stay what they are."""
    first = known.get("1.root.json", files.get("1.root.json"))
    if first is None:
        raise Unproven("incomplete", "1.root.json is missing: publish a repository with all its roots")
    # 5.2: the first root; what is known was believed before.
    trusted = TrustedMetadataSet(first, EnvelopeType.METADATA)
    used["1.root.json"] = first
    while trusted.root.version < ROOTS_MAX:
        name = f"{trusted.root.version + 1}.root.json"
        root = known.get(name, files.get(name))
        if root is None:
            break
        # 5.3.4: signed by the root before and by itself. 5.3.5: exactly the next version. 5.3.6: it may have expired.
        trusted.update_root(root)
        used[name] = root
    for name in used:
        if files.get(name, used[name]) != used[name]:
            raise Unproven(
                "bad_signature",
                f"{name} is not the one that this control plane trusts",
                "is it another repository? A root is replaced only by the next one, which it has signed",
            )
    return trusted


def _follow(
    update: Callable[[bytes], Any],
    name: str,
    files: Mapping[str, bytes],
    known: Mapping[str, bytes],
    used: dict[str, bytes],
) -> None:
    """The timestamp: the known one sets what is too old, the published one counts."""
    if name in known:
        # 5.3.11: not accepted by the newest root any more, or ended: then it sets nothing.
        with contextlib.suppress(exceptions.RepositoryError):
            update(known[name])
    if name not in files:
        raise Unproven("incomplete", f"{name} is missing")
    try:
        update(files[name])
    except exceptions.EqualVersionNumberError:
        if files[name] != known.get(name):
            raise
    used[name] = files[name]


def _follow_newest(
    update: Callable[..., Any],
    role: str,
    version: int,
    files: Mapping[str, bytes],
    known: Mapping[str, bytes],
    used: dict[str, bytes],
) -> None:
    """Snapshot or targets of the version that the one before names."""
    for old in (data for name, data in known.items() if name.endswith(f".{role}.json")):
        with contextlib.suppress(exceptions.RepositoryError):
            update(old, trusted=True)
    name = f"{version}.{role}.json"
    if name not in files:
        raise Unproven("incomplete", f"{name} is missing")
    update(files[name])
    used[name] = files[name]


def _targets(targets: Targets) -> Iterator[Target]:
    for path, target in targets.targets.items():
        custom = target.custom if isinstance(target.custom, dict) else {}
        digest = target.hashes.get("sha256", "")
        texts = {name: custom.get(name) for name in ("version", "architecture", "min_from", "back_from")}
        unpacked_bytes = custom.get("unpacked_bytes")
        # A name in a table, a name on disk: neither may be able to leave its place.
        fit = len(digest) == 64 and not set(digest) - set("0123456789abcdef") and "/" not in path and len(path) < 200
        if not fit or not all(isinstance(text, str) for text in texts.values()) or type(unpacked_bytes) is not int:
            raise Unproven("bad_metadata", f"the signed target {path[:200]!r} does not say what it is")
        versions.parse(str(texts["version"]))
        yield Target(
            version=str(texts["version"]),
            architecture=str(texts["architecture"]),
            min_from=str(texts["min_from"]),
            back_from=str(texts["back_from"]),
            digest=digest,
            target_path=path,
            length=target.length,
            unpacked_bytes=unpacked_bytes,
        )


def _order(target: Target) -> tuple[versions.Version, str]:
    return versions.parse(target.version), target.architecture


@contextlib.contextmanager
def _tuf_errors() -> Iterator[None]:
    try:
        yield
    except exceptions.ExpiredMetadataError as error:
        hint = (
            "sign it again: `haulier release refresh --online-keys DIR --repository DIR`, or for the root "
            "`haulier release rotate-root --keys DIR --repository DIR --same-keys`"
        )
        raise Unproven("metadata_expired", str(error), hint) from error
    except exceptions.BadVersionNumberError as error:
        raise Unproven(
            "bad_version", str(error) or "the timestamp has this version already, with other content",
            "it is older than what was published before: refresh the newest repository",
        ) from error  # fmt: skip
    except exceptions.UnsignedMetadataError as error:
        raise Unproven("bad_signature", str(error), "does it lack a signature? See `haulier release cosign`") from error
    except exceptions.RepositoryError as error:
        # Some errors of the library carry no words.
        raise Unproven("bad_metadata", str(error)[:300] or f"it cannot be read: {type(error).__name__}") from error
    except ValueError as error:
        raise Unproven("bad_metadata", str(error)[:300]) from error
