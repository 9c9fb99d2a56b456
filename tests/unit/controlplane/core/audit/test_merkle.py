"""The Merkle tree against RFC 9162's own words, and against trees of every shape."""

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.core.audit import merkle
from controlplane.core.audit.leaves import entry_bytes, leaf_of
from controlplane.core.audit.merkle_tiles import CACHED_MAX, BrokenTile, MissingTile, Tiles
from controlplane.core.events import Event

LEAVES = [merkle.leaf_hash(bytes([n % 256, n // 256])) for n in range(700)]


def plain_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, section 2.1.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + plain_root(leaves[:k]) + plain_root(leaves[k:])).digest()


def tiles_of(size: int) -> Tiles:
    return Tiles().grown(LEAVES[:size])[0]


def test_known_hashes() -> None:
    # The test vectors that Certificate Transparency's implementations share.
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle.leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    frontier = merkle.Frontier()
    frontier.add(merkle.leaf_hash(bytes.fromhex(entry)) for entry in entries)
    assert frontier.root().hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 255, 256, 257, 511, 512, 513, 700])
def test_every_road_leads_to_the_same_root(size: int) -> None:
    expected = plain_root(LEAVES[:size])
    frontier = merkle.Frontier()
    frontier.add(LEAVES[:size])
    assert frontier.root() == tiles_of(size).root() == expected


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 700), st.integers(1, 700))
def test_a_tree_proves_that_it_continues_an_older_one(one: int, other: int) -> None:
    old, new = sorted((one, other))
    tiles = tiles_of(new)
    proof = merkle.consistency_proof(old, new, tiles.subtree)
    before, now = plain_root(LEAVES[:old]), tiles.root()
    assert merkle.proves_consistency(old, new, before, now, proof)
    assert not merkle.proves_consistency(old, new, LEAVES[0][::-1], now, proof)
    assert not merkle.proves_consistency(old, new, before, LEAVES[0][::-1], proof)
    assert not merkle.proves_consistency(old, new, before, now, [*proof, LEAVES[0]])
    if proof:
        assert not merkle.proves_consistency(old, new, before, now, proof[:-1])
        assert not merkle.proves_consistency(old, new, before, now, [proof[0][::-1], *proof[1:]])


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 700), st.data())
def test_a_tree_proves_what_it_holds(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    tiles = tiles_of(size)
    proof = merkle.inclusion_proof(index, size, tiles.subtree)
    found = tiles.root()
    assert merkle.proves_inclusion(index, size, LEAVES[index], proof, found)
    assert not merkle.proves_inclusion(index, size, LEAVES[index][::-1], proof, found)
    assert not merkle.proves_inclusion(index, size, LEAVES[index], [*proof, LEAVES[0]], found)
    assert not merkle.proves_inclusion(size, size, LEAVES[index], proof, found)
    if proof:
        assert not merkle.proves_inclusion(index, size, LEAVES[index], proof[:-1], found)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=6))
def test_tiles_grow_piece_by_piece(pieces: list[int]) -> None:
    stored: dict[tuple[int, int], bytes] = {}
    size = 0
    for piece in pieces:
        leaves = [merkle.leaf_hash(b"%d" % n) for n in range(size, size + piece)]
        # Between two pieces only the edge is kept, as after a restart.
        tiles = Tiles(size)
        for place in tiles.edge():
            tiles.put(place, stored[place])
        tiles, changed = tiles.grown(leaves)
        size = tiles.size
        stored |= changed
    whole = Tiles(size)
    for place, hashes in stored.items():
        whole.put(place, hashes)
    assert whole.root() == plain_root([merkle.leaf_hash(b"%d" % n) for n in range(size)])


def test_a_tile_that_is_not_here_is_asked_for() -> None:
    with pytest.raises(MissingTile) as asked:
        Tiles(300).root()
    assert asked.value.place == (1, 0)
    with pytest.raises(MissingTile):
        Tiles(3).grown([LEAVES[0]])


def test_the_edge_is_what_grows() -> None:
    assert [Tiles(size).edge() for size in (0, 1, 256, 512, 513)] == [
        [],
        [(0, 0)],
        [(1, 0)],
        [(1, 0)],
        [(0, 2), (1, 0)],
    ]


def test_a_broken_tile_is_refused() -> None:
    for hashes in (b"", b"x", bytes(32 * 4)):
        with pytest.raises(BrokenTile):
            Tiles(3).put((0, 0), hashes)
    with pytest.raises(BrokenTile):
        Tiles(3).put((0, 5), bytes(32))


def test_old_tiles_make_room() -> None:
    tiles = Tiles((CACHED_MAX + 2) * 256)
    for number in range(CACHED_MAX + 1):
        tiles.put((0, number), bytes(8192))
    with pytest.raises(MissingTile):
        tiles.subtree(0, 0)
    assert tiles.subtree(0, 256) == bytes(32)
    assert tiles.keep([(0, 1), (0, 0)]) == [(0, 0)]
    tiles.put((0, 0), bytes(8192))
    assert tiles.keep([(0, 1)]) == [], "what was kept was not the one to go"
    assert tiles.keep([(0, 2)]) == [(0, 2)]


def test_impossible_sizes_prove_nothing() -> None:
    assert not merkle.proves_consistency(0, 3, LEAVES[0], LEAVES[1], [])
    assert not merkle.proves_consistency(4, 3, LEAVES[0], LEAVES[1], [])
    assert not merkle.proves_consistency(3, 5, LEAVES[0], LEAVES[1], [])
    assert not merkle.proves_consistency(3, 3, LEAVES[0], LEAVES[0], [LEAVES[1]])
    assert not merkle.proves_inclusion(-1, 3, LEAVES[0], [], LEAVES[0])


TEXTS = st.text(max_size=4)
EVENTS = st.builds(
    Event,
    st.floats(allow_nan=False),
    TEXTS,
    TEXTS,
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.none() | st.integers(0, 2**63 - 1),
    TEXTS,
)


@settings(max_examples=300)
@given(EVENTS, EVENTS, st.integers(1, 3), st.integers(1, 3))
def test_no_two_events_share_their_bytes(one: Event, other: Event, p: int, q: int) -> None:
    # repr tells 0.0 from -0.0, which are two instants for the log as well.
    assert (entry_bytes(p, one) == entry_bytes(q, other)) == ((p, repr(one)) == (q, repr(other)))


def test_fields_do_not_run_into_each_other() -> None:
    split = {entry_bytes(1, Event(0.0, a, b)) for a, b in (("ab", "c"), ("a", "bc"), ("", "abc"), ("a", "t2:bc"))}
    assert len(split) == 4
    assert entry_bytes(1, Event(0.0, "a", "b", "")) != entry_bytes(1, Event(0.0, "a", "b"))
    event = Event(12.5, "LeaseGranted", "step_1", "mig_1", "att_1_1", "ag_1", 4294967297, "é")
    assert leaf_of(7, event) == merkle.leaf_hash(entry_bytes(7, event))
