"""The Merkle tree of RFC 9162: roots, and proofs that one tree continues another or holds an entry.

Hashes are SHA-256, 32 bytes. A leaf is hashed behind a zero byte and an inner node behind a one, so that neither can
pass for the other. Nothing here keeps a tree: whoever asks gives a function that knows the roots of complete subtrees.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

# (height, number) → root of the complete subtree of 2**height leaves that begins at leaf number * 2**height.
Subtree = Callable[[int, int], bytes]


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of one entry."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two subtrees side by side."""
    return sha256(b"\x01" + left + right).digest()


def complete_root(hashes: bytes) -> bytes:
    """Return the root over 1, 2, 4, … hashes, which come in one piece."""
    while len(hashes) > HASH_BYTES:
        pairs = range(0, len(hashes), 2 * HASH_BYTES)
        hashes = b"".join([sha256(b"\x01" + hashes[at : at + 2 * HASH_BYTES]).digest() for at in pairs])
    return hashes


def root(size: int, subtree: Subtree) -> bytes:
    """Return the root of the tree of the first ``size`` leaves."""
    return _root_of(0, size, subtree) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """Return what proves that leaf ``index`` (from 0) is in the tree of ``size`` leaves."""
    assert 0 <= index < size, "the leaf is in the tree"
    return _path(index, 0, size, subtree)


def consistency_proof(old: int, new: int, subtree: Subtree) -> list[bytes]:
    """Return what proves that the tree of ``new`` leaves begins with the tree of ``old``; 0 < ``old`` <= ``new``."""
    assert 0 < old <= new, "a tree continues a smaller one"
    return _subproof(old, 0, new, subtree, known=True)


def proves_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], tree_root: bytes) -> bool:
    """Tell whether ``proof`` shows that ``leaf`` (its hash) is entry ``index`` of a tree."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(other, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, other)
        at, last = at >> 1, last >> 1
    return last == 0 and found == tree_root


def proves_consistency(old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether ``proof`` shows that the tree of ``new`` leaves begins with the one of ``old``."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    seen_old = seen_new = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            seen_old, seen_new = node_hash(other, seen_old), node_hash(other, seen_new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            seen_new = node_hash(seen_new, other)
        at, last = at >> 1, last >> 1
    return last == 0 and seen_old == old_root and seen_new == new_root


class Frontier:
    """A tree that only grows, in as many hashes as its size has bits."""

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []  # roots of complete subtrees, largest first, one for each bit of the size

    def add(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes."""
        for leaf in leaves:
            grown, rest = leaf, self.size
            while rest & 1:
                grown, rest = node_hash(self._peaks.pop(), grown), rest >> 1
            self._peaks.append(grown)
            self.size += 1

    def root(self) -> bytes:
        """Return the root of everything added so far."""
        if not self._peaks:
            return EMPTY_ROOT
        found = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            found = node_hash(peak, found)
        return found


def _split(count: int) -> int:
    """Return the largest power of two below ``count``."""
    return 1 << (count - 1).bit_length() - 1


def _root_of(first: int, count: int, subtree: Subtree) -> bytes:
    if count & (count - 1) == 0:
        height = count.bit_length() - 1
        return subtree(height, first >> height)
    left = _split(count)
    return node_hash(_root_of(first, left, subtree), _root_of(first + left, count - left, subtree))


def _path(index: int, first: int, count: int, subtree: Subtree) -> list[bytes]:
    if count == 1:
        return []
    left = _split(count)
    if index < left:
        return [*_path(index, first, left, subtree), _root_of(first + left, count - left, subtree)]
    return [*_path(index - left, first + left, count - left, subtree), _root_of(first, left, subtree)]


def _subproof(old: int, first: int, count: int, subtree: Subtree, *, known: bool) -> list[bytes]:
    if old == count:
        return [] if known else [_root_of(first, count, subtree)]
    left = _split(count)
    if old <= left:
        return [
            *_subproof(old, first, left, subtree, known=known),
            _root_of(first + left, count - left, subtree),
        ]
    return [
        *_subproof(old - left, first + left, count - left, subtree, known=False),
        _root_of(first, left, subtree),
    ]
