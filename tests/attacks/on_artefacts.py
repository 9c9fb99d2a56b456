"""Attacks by what is inside an artefact, as if people had been led to sign it."""

import hashlib
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import zstandard

from tests.attacks.catalogue import attack
from tests.attacks.scene import Member, Scene, crafted, described

GOOD = Member("lib/module.py", b"VALUE = 1\n")


def archive(
    title: str,
    members: Sequence[Member],
    *,
    listed: dict[str, Any] | None = None,
    spoil: Callable[[Path], None] | None = None,
    unpacked_bytes: int | None = None,
    **release: Any,
) -> None:
    """One attack: an archive with these members."""

    def play(scene: Scene) -> None:
        path = scene.home / "crafted.tar.zst"
        size = crafted(path, members, listed, **release)
        if spoil is not None:
            spoil(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        scene.wish = scene.sign_badly(path, digest, unpacked_bytes or size)

    play.__name__ = title.replace(" ", "_").replace(",", "").replace(".", "_")
    play.__doc__ = f"{title[0].upper()}{title[1:]}."
    attack("malicious archive", "bad_artefact")(play)


def repack(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Compress a changed archive."""
    data = zstandard.ZstdDecompressor().decompress(path.read_bytes(), max_output_size=1 << 28)
    path.write_bytes(zstandard.ZstdCompressor().compress(change(data)))


def noise(path: Path) -> None:
    """Put a program in the place of the archive."""
    path.write_bytes(b"\x7fELF" * 100)


def wide(path: Path) -> None:
    """Compress so that the reader would have to keep 2 GiB in memory."""
    data = zstandard.ZstdDecompressor().decompress(path.read_bytes(), max_output_size=1 << 28)
    parameters = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    path.write_bytes(compressor.compress(data) + compressor.flush())


def link(name: str, to: str) -> Member:
    return Member(name, kind=tarfile.SYMTYPE, link=to)


archive("a link to an absolute path", [GOOD, link("lib/out", "/etc/passwd")])
archive("a link that climbs out", [GOOD, link("lib/out", "../../../../etc/passwd")])
archive(
    "a link that climbs out by another link",
    [GOOD, Member("a/b/c/file", b"x"), link("in", "a/b/c"), link("out", "in/../../../../..")],
)
archive("a link that leads nowhere", [GOOD, link("lib/out", "not-here")])
archive("links in a circle", [GOOD, link("one", "two"), link("two", "one")])
archive("a file behind a link", [link("lib", "/tmp"), Member("lib/module.py", b"x")])
archive("a file behind an inner link", [Member("real/file", b"x"), link("alias", "real"), Member("alias/file", b"y")])
archive("a name that climbs out", [GOOD, Member("../../evil", b"x")])
archive("a name that climbs out in the middle", [GOOD, Member("lib/../../evil", b"x")])
archive("an absolute name", [GOOD, Member("/tmp/evil", b"x")])
archive("a name with a dot", [GOOD, Member("./lib/evil", b"x")])
archive("an empty part in a name", [GOOD, Member("lib//evil", b"x")])
archive("release.json listed as a file", [GOOD, Member("release.json", b"{}")])
archive("a name twice", [GOOD, Member("lib/module.py", b"VALUE = 1\n")])
archive("a file that is not listed", [GOOD, Member("evil", b"x")], listed={"lib/module.py": described(GOOD)})
archive("a listed file that is missing", [GOOD], listed={"lib/module.py": described(GOOD), "other": described(GOOD)})
archive(
    "a file as long as listed with other bytes",
    [Member("lib/module.py", b"VALUE = 2\n")],
    listed={"lib/module.py": described(GOOD)},
)
archive(
    "a file longer than listed",
    [Member("lib/module.py", b"VALUE = 1\nmore\n")],
    listed={"lib/module.py": described(GOOD)},
)
archive("a link where a file is listed", [link("lib/module.py", "other")], listed={"lib/module.py": described(GOOD)})
archive(
    "a link that leads elsewhere than listed",
    [GOOD, link("alias", "/etc/passwd")],
    listed={"lib/module.py": described(GOOD), "alias": {"link": "lib/module.py"}},
)
archive("a hard link to the outside", [GOOD, Member("hard", kind=tarfile.LNKTYPE, link="/etc/passwd")])
archive("a device", [GOOD, Member("device", kind=tarfile.CHRTYPE)])
archive("a pipe", [GOOD, Member("pipe", kind=tarfile.FIFOTYPE)])
archive(
    "a mode with setuid",
    [GOOD, Member("tool", b"x", mode=0o4755)],
    listed={"lib/module.py": described(GOOD), "tool": {**described(Member("tool", b"x")), "mode": 0o4755}},
)
archive("a list of another format", [GOOD], format=2)
archive("another version inside", [GOOD], version="0.1.0")
archive("another architecture inside", [GOOD], architecture="aarch64")
archive("another system inside", [GOOD], os="windows")
archive("a list that is none", [GOOD], files=[])
archive("a listed entry that is none", [GOOD], listed={"lib/module.py": {"sha256": 1, "mode": "x", "bytes": -1}})
archive("a long name of megabytes", [GOOD, Member("evil", b"x", headers=(("path", "a/" * (1 << 20) + "b"),))])
archive("a header of megabytes", [Member("lib/module.py", b"VALUE = 1\n", headers=(("comment", "x" * (8 << 20)),))])
archive("a bomb that unpacks to more than was signed", [GOOD, Member("zeros", bytes(64 << 20))], unpacked_bytes=1 << 20)
archive("an archive that ends in the middle", [GOOD], spoil=lambda path: repack(path, lambda data: data[:1700]))
archive("an archive cut within compression", [GOOD], spoil=lambda path: os.truncate(path, path.stat().st_size - 20))
archive("what is not an archive at all", [GOOD], spoil=noise)
archive("compressed noise", [GOOD], spoil=lambda path: repack(path, lambda _: b"\xff" * 4096))
archive("a window that takes all memory", [GOOD], spoil=wide)
