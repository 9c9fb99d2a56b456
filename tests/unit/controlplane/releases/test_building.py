"""Building: the same files give the same bytes."""

import os
from pathlib import Path

import pytest

from controlplane.releases.building import BadTree, build, read
from tests.kit.releases import a_tree


def test_two_builds_are_byte_equal(tmp_path: Path) -> None:
    for name in ("one", "two"):
        a_tree(tmp_path / name, "0.2.0")
    # What may differ between two builds of the same source: times, order of making, modes of groups, umask.
    os.utime(tmp_path / "two" / "lib" / "module.py", (5, 5))
    (tmp_path / "two" / "lib" / "module.py").chmod(0o600)
    (tmp_path / "two" / "empty").mkdir()
    first = build(tmp_path / "one", "0.2.0", "x86_64", "", tmp_path / "first")
    second = build(tmp_path / "two", "0.2.0", "x86_64", "", tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert first.digest == second.digest


def test_an_artefact_says_what_it_is(tmp_path: Path) -> None:
    a_tree(tmp_path / "tree", "0.2.0")
    built = build(tmp_path / "tree", "0.2.0", "aarch64", "0.1.0", tmp_path / "made")
    assert read(tmp_path / "made") == built
    assert built.unpacked_bytes > 3000


def test_a_changed_byte_changes_the_digest(tmp_path: Path) -> None:
    a_tree(tmp_path / "tree", "0.2.0")
    before = build(tmp_path / "tree", "0.2.0", "x86_64", "", tmp_path / "made")
    (tmp_path / "tree" / "lib" / "module.py").write_text("VALUE = 2\n" * 300)
    assert build(tmp_path / "tree", "0.2.0", "x86_64", "", tmp_path / "made").digest != before.digest


def test_what_cannot_be_released_is_named(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with pytest.raises(BadTree, match="holds no file"):
        build(tmp_path / "tree", "0.2.0", "x86_64", "", tmp_path / "made")
    os.mkfifo(tmp_path / "tree" / "pipe")
    with pytest.raises(BadTree, match="pipe: is neither a file nor a link"):
        build(tmp_path / "tree", "0.2.0", "x86_64", "", tmp_path / "made")
    with pytest.raises(ValueError, match="is no version"):
        build(tmp_path / "tree", "latest", "x86_64", "", tmp_path / "made")
    assert not (tmp_path / "made").exists()
    (tmp_path / "made").write_bytes(b"no artefact")
    with pytest.raises(BadTree, match="is no artefact"):
        read(tmp_path / "made")
