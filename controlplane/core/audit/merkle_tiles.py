"""A Merkle tree cut into tiles of 256 hashes, so that a long log needs few and small reads.

Tile ``number`` of level 0 holds the leaf hashes from ``256 * number`` on; an entry of a higher level is the root of one
full tile below. Only the last tile of a level is not full.
"""

from collections.abc import Iterable

from controlplane.core.audit.merkle import HASH_BYTES, complete_root, root

TILE_BITS = 8
TILE_HASHES = 1 << TILE_BITS
# 8 KiB each: the tiles of a million leaves fit.
CACHED_MAX = 4096

Place = tuple[int, int]  # level, number


class MissingTile(LookupError):
    """A tile is needed that is not here: fetch it, ``put`` it, and ask again."""

    def __init__(self, place: Place) -> None:
        super().__init__(f"tile {place[1]} of level {place[0]}")
        self.place = place


class BrokenTile(ValueError):
    """A stored tile is shorter than the tree says, or no row of hashes at all."""


class Tiles:
    """A tree as its tiles; those that are not at hand are asked for by ``MissingTile``."""

    def __init__(self, size: int = 0) -> None:
        self.size = size
        self._tiles: dict[Place, bytes] = {}

    def put(self, place: Place, hashes: bytes) -> None:
        """Take a tile in, as it is stored. Raises ``BrokenTile``."""
        if len(hashes) != self.bytes_of(place):
            raise BrokenTile(f"tile {place[1]} of level {place[0]} holds {len(hashes)} bytes")
        self._tiles.pop(place, None)
        while len(self._tiles) >= CACHED_MAX:
            del self._tiles[next(iter(self._tiles))]
        self._tiles[place] = hashes

    def keep(self, places: Iterable[Place]) -> list[Place]:
        """Let tiles be the last to make room; return those that are not at hand."""
        missing = []
        for place in places:
            if place in self._tiles:
                self._tiles[place] = self._tiles.pop(place)
            else:
                missing.append(place)
        return missing

    def bytes_of(self, place: Place) -> int:
        """Return how long a tile of this tree is."""
        level, number = place
        return HASH_BYTES * max(0, min(TILE_HASHES, (self.size >> TILE_BITS * level) - number * TILE_HASHES))

    def edge(self) -> list[Place]:
        """Return the tiles that the next leaves are appended to, where they exist."""
        places, count, level = [], self.size, 0
        while count:
            if count % TILE_HASHES:
                places.append((level, count // TILE_HASHES))
            count, level = count // TILE_HASHES, level + 1
        return places

    def grown(self, leaves: Iterable[bytes]) -> tuple["Tiles", dict[Place, bytes]]:
        """Return this tree with more leaves, and its tiles that are new; the tree itself stays as it is.

        Raises ``MissingTile`` unless every tile of ``edge`` is here.
        """
        fresh = b"".join(leaves)
        larger = Tiles(self.size + len(fresh) // HASH_BYTES)
        larger._tiles = dict(self._tiles)
        changed: dict[Place, bytes] = {}
        level, count = 0, self.size
        while fresh:
            number, within = divmod(count, TILE_HASHES)
            hashes = (self._tile((level, number)) if within else b"") + fresh
            fresh = b""
            for start in range(0, len(hashes), TILE_HASHES * HASH_BYTES):
                tile = hashes[start : start + TILE_HASHES * HASH_BYTES]
                changed[level, number] = tile
                number += 1
                if len(tile) == TILE_HASHES * HASH_BYTES:
                    fresh += complete_root(tile)
            level, count = level + 1, count // TILE_HASHES
        for place, hashes in changed.items():
            larger.put(place, hashes)
        return larger, changed

    def subtree(self, height: int, number: int) -> bytes:
        """Return the root of a complete subtree; see ``merkle.Subtree``. Raises ``MissingTile``."""
        level, within = divmod(height, TILE_BITS)
        first = number << within
        tile = self._tile((level, first >> TILE_BITS))
        start = (first & (TILE_HASHES - 1)) * HASH_BYTES
        return complete_root(tile[start : start + (HASH_BYTES << within)])

    def root(self) -> bytes:
        """Return the root of the whole tree. Raises ``MissingTile``."""
        return root(self.size, self.subtree)

    def _tile(self, place: Place) -> bytes:
        found = self._tiles.get(place)
        if found is None:
            raise MissingTile(place)
        return found
