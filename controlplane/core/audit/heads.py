"""Signed heads of the audit log, and what it means when somebody has seen another one.

What is signed is fixed to the byte: numbers are unsigned and big-endian, texts are UTF-8 behind their length.
"""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

FIRST_ERA = 1
SIZE_MAX = 2**63 - 1


class TreeHead(NamedTuple):
    """Size and root of the log, signed. ``key_id`` is the SHA-256 of the public key, hex."""

    era: int
    size: int
    root: bytes
    signature: bytes
    key_id: str

    def __str__(self) -> str:
        return f"{self.size} entries with root {self.root.hex()[:16]} in era {self.era}"


class LogEra(NamedTuple):
    """An administrator's signed word that the log goes on from ``size`` entries with ``root``, and why."""

    era: int
    size: int
    root: bytes
    generation: int
    reason: str
    signature: bytes
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Continued:
    """The log continues what was seen; a proof begins at ``since`` entries."""

    since: int
    begun: LogEra | None = None  # the word that began the present era, where an older one was seen
    lost: int = 0  # entries that were seen in an older era and are not here


@dataclass(frozen=True, slots=True)
class Contradicted:
    """What was seen, and signed by us, is not how the log begins."""

    because: str


def head_bytes(era: int, size: int, root: bytes) -> bytes:
    """Return what the signature of a head is over."""
    return b"haulier-tree-head-1" + struct.pack(">IQ", era, size) + root


def era_bytes(era: int, size: int, root: bytes, generation: int, reason: str) -> bytes:
    """Return what the signature of the beginning of an era is over."""
    text = reason.encode()
    return (
        b"haulier-log-era-1" + struct.pack(">IQ", era, size) + root + struct.pack(">QI", generation, len(text)) + text
    )


def key_id_of(public_key: bytes) -> str:
    """Return the name of a key.

    >>> key_id_of(bytes(32))[:8]
    '66687aad'
    """
    return sha256(public_key).hexdigest()


def judge_witness(
    own: TreeHead | None, eras: Sequence[LogEra], seen: TreeHead, root_at: Callable[[int], bytes]
) -> Continued | Contradicted:
    """Compare a head that somebody saw with the log.

    ``eras`` are the beginnings after the first era, oldest first; ``root_at`` is asked for the root of the present
    tree at a size that it has.
    """
    if own is None:
        return Contradicted(f"a witness has seen {seen}; this log has never been sealed")
    if seen.era > own.era:
        return Contradicted(f"a witness has seen {seen}; this log is of era {own.era}, before a restore")
    if seen.era < own.era:
        following = next(each for each in eras if each.era == seen.era + 1)
        kept = seen.size if seen.size <= following.size and root_at(seen.size) == seen.root else following.size
        return Continued(eras[-1].size, eras[-1], max(0, seen.size - kept))
    if seen.size > own.size:
        return Contradicted(f"a witness has seen {seen}; this log has {own.size}: it was cut, or is an older copy")
    if root_at(seen.size) != seen.root:
        return Contradicted(f"a witness has seen {seen}; this log has another root there: entries were changed")
    return Continued(seen.size)
