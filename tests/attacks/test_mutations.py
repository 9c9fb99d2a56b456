"""Whatever lies in `incoming`, a host refuses it in words or takes exactly what was signed: it never just fails."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from agentd.updater.refusing import Refused
from agentd.updater.unpacking import faults_of, unpack
from agentd.updater.verifying import Verified
from tests.attacks.scene import NEWEST, Scene, Stage

MUTATIONS = int(os.environ.get("HAULIER_MUTATIONS", "120"))


def flipped(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def doubled(data: bytearray, chance: random.Random) -> None:
    begin = chance.randrange(len(data))
    data[begin:begin] = data[begin : begin + chance.randint(1, 200)]


def digits(data: bytearray, chance: random.Random) -> None:
    """Numbers of thousands of digits, where there was one."""
    found = [at for at, byte in enumerate(data) if 48 <= byte <= 57]
    if found:
        at = chance.choice(found)
        data[at : at + 1] = b"9" * chance.choice((20, 400, 5000))


def nested(data: bytearray, chance: random.Random) -> None:
    """Brackets a hundred thousand deep."""
    at = chance.randrange(len(data))
    data[at:at] = chance.choice((b"[", b'{"a":')) * 100_000


def replaced(data: bytearray, chance: random.Random) -> None:
    """Another sort of value, or another word, where there was one."""
    words = (
        b'"expires"',
        b'"version"',
        b'"keyids"',
        b'"sig"',
        b'"length"',
        b'"sha256"',
        b'"custom"',
        b'"_type"',
        b"1",
        b'"',
    )
    others = (b"null", b"[]", b"{}", b"-1", b"1e999", b'"\\ud800"', b"true", b'""', b'"\xff"')
    word = chance.choice(words)
    at = data.find(word, chance.randrange(len(data)))
    if at >= 0:
        data[at : at + len(word)] = chance.choice(others)


WAYS: tuple[Callable[[bytearray, random.Random], None], ...] = (flipped, cut, doubled, digits, nested, replaced)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Stage(tmp_path / "stage").scene(tmp_path / "scene")


def test_mutations_are_refused_in_words_or_change_nothing(scene: Scene, tmp_path: Path) -> None:
    desk = scene.forge.desk(scene.now)
    desk.renew_root(scene.forge.offline, new_keys=True)
    desk.refresh(scene.forge.online)
    scene.host.fetch(scene.forge.repository, scene.built(NEWEST))
    honest, trusted = tmp_path / "honest", tmp_path / "trusted"
    shutil.copytree(scene.host.incoming, honest)
    shutil.copytree(scene.host.trusted, trusted)
    newest = desk.root().signed.version, desk.targets(), desk.snapshot()
    assert newest[1] is not None and newest[2] is not None
    names = [
        "artefact",
        "metadata/timestamp.json",
        f"metadata/{newest[0]}.root.json",
        f"metadata/{newest[1].signed.version}.targets.json",
        f"metadata/{newest[2].signed.version}.snapshot.json",
    ]
    before = scene.host.state()
    refused = taken = 0
    for seed in range(MUTATIONS):
        chance = random.Random(seed)
        name = names[seed % len(names)]
        data = bytearray((honest / name).read_bytes())
        chance.choice(WAYS)(data, chance)
        (scene.host.incoming / name).write_bytes(data)
        try:
            tree = unpack(scene.host.verify(scene.wish, scene.now), scene.host.here.versions)
        except Refused as refusal:
            refused += 1
            assert str(refusal) and scene.host.state() == before, (seed, name)
        else:
            taken += 1
            assert tree.name == scene.wish.digest and faults_of(tree) == [], (seed, name)
            shutil.rmtree(tree)
            shutil.rmtree(scene.host.trusted)
            shutil.copytree(trusted, scene.host.trusted)
        (scene.host.incoming / name).write_bytes((honest / name).read_bytes())
    assert refused > taken > 0


def test_archives_that_were_signed_broken_are_refused_or_whole(scene: Scene, tmp_path: Path) -> None:
    built = scene.built(NEWEST)
    true = zstandard.ZstdDecompressor().decompress(built.path.read_bytes(), max_output_size=built.unpacked_bytes)
    versions = tmp_path / "versions"
    versions.mkdir()
    broken = tmp_path / "broken"
    refused = 0
    for seed in range(MUTATIONS):
        chance = random.Random(seed)
        data = bytearray(true)
        chance.choice(WAYS)(data, chance)
        broken.write_bytes(zstandard.ZstdCompressor(level=1).compress(bytes(data)))
        told = (built.version, f"{seed:064x}", built.architecture, "", broken.stat().st_size, built.unpacked_bytes)
        try:
            tree = unpack(Verified(broken, *told), versions)
        except Refused as refusal:
            refused += 1
            assert str(refusal) and list(versions.iterdir()) == [], seed
        else:
            # What was hit is padding, or a field that does not count.
            assert faults_of(tree) == [] and tree.parent == versions, seed
            shutil.rmtree(tree)
    assert refused > MUTATIONS / 3
