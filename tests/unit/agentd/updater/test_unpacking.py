"""Unpacking: whole or not at all, and only what was listed."""

import stat
from pathlib import Path

import pytest

from agentd.updater.refusing import Refused
from agentd.updater.unpacking import faults_of, unpack
from agentd.updater.verifying import Verified
from agentd.updater.versions import parse
from tests.kit.releases import Forge, Host, wanted


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    return Forge(tmp_path / "forge")


@pytest.fixture
def host(forge: Forge, tmp_path: Path) -> Host:
    return Host(tmp_path / "host", forge.first_root)


@pytest.fixture
def verified(host: Host, forge: Forge) -> Verified:
    built = forge.release("0.2.0")
    host.fetch(forge.repository, built)
    return host.verify(wanted(built))


def test_a_tree_comes_out_as_it_went_in(host: Host, verified: Verified) -> None:
    tree = unpack(verified, host.here.versions)
    assert tree == host.here.versions / verified.digest
    assert (tree / "bin" / "haulier-agentd").read_text() == "#!/bin/sh\necho 0.2.0\n"
    assert stat.S_IMODE((tree / "bin" / "haulier-agentd").stat().st_mode) == 0o755
    assert stat.S_IMODE((tree / "lib" / "module.py").stat().st_mode) == 0o644
    assert str((tree / "lib" / "alias.py").readlink()) == "module.py"
    assert faults_of(tree) == []
    assert [path.name for path in host.here.versions.iterdir()] == [verified.digest]


def test_what_a_crash_left_is_removed_and_a_whole_tree_is_used_again(host: Host, verified: Verified) -> None:
    left = host.here.versions / ".new-of-before"
    left.mkdir()
    tree = unpack(verified, host.here.versions)
    assert not left.exists()
    inode = tree.stat().st_ino
    assert unpack(verified, host.here.versions).stat().st_ino == inode


def test_a_broken_tree_is_noticed_and_replaced(host: Host, verified: Verified) -> None:
    tree = unpack(verified, host.here.versions)
    (tree / "lib" / "module.py").write_text("VALUE = 2\n" * 300)
    (tree / "bin" / "haulier-agentd").unlink()
    assert sorted(faults_of(tree)) == [
        "bin/haulier-agentd: No such file or directory",
        "lib/module.py is not what was released",
    ]
    assert faults_of(unpack(verified, host.here.versions)) == []


def test_an_artefact_of_another_release_is_refused(host: Host, verified: Verified) -> None:
    before = host.state()
    lying = Verified(verified.artefact, "9.9.9", *[getattr(verified, name) for name in Verified.__slots__[2:]])
    with pytest.raises(Refused) as refused:
        unpack(lying, host.here.versions)
    assert refused.value.code == "bad_artefact"
    assert host.state() == before


def test_versions_have_an_order() -> None:
    ordered = ["0.1.0", "0.2.0a1", "0.2.0b1", "0.2.0rc1", "0.2.0rc2", "0.2.0", "0.2.1", "0.10.0", "1.0.0"]
    assert sorted(ordered, key=parse) == ordered


@pytest.mark.parametrize("text", ["", "1", "1.0", "v1.0.0", "1.0.0-1", "1.0.0rc", "1.0.0\n", "\uff11.0.0", "1.0.0.0"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a version"):
        parse(text)
