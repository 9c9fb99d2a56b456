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
    with pytest.raises(ValueError, match="is not a version"):
        build(tmp_path / "tree", "latest", "x86_64", "", tmp_path / "made")
    assert not (tmp_path / "made").exists()
    (tmp_path / "made").write_bytes(b"no artefact")
    with pytest.raises(BadTree, match="is not an artefact"):
        read(tmp_path / "made")


def a_tree_that_judges(tree: Path, says: str, code: int) -> Path:
    a_tree(tree, "0.2.0")
    (tree / "bin").mkdir(exist_ok=True)
    agent = tree / "bin" / "haulier-agentd"
    agent.unlink(missing_ok=True)
    agent.write_text(f'#!/bin/sh\n[ "$1 $2" = "check --settings" ] && [ -d "$3" ] || exit 9\n{says} >&2\nexit {code}\n')
    agent.chmod(0o755)
    return tree


def settings(tmp_path: Path) -> Path:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "policy.toml").write_text("kinds = []\n")
    return tmp_path / "settings"


def test_settings_become_part_of_the_artefact(tmp_path: Path) -> None:
    tree, brought = a_tree_that_judges(tmp_path / "tree", ":", 0), settings(tmp_path)
    without = build(tree, "0.2.0", "x86_64", "", tmp_path / "without")
    built = build(tree, "0.2.0", "x86_64", "", tmp_path / "made", brought)
    assert (built.settings, without.settings) == (("settings/policy.toml",), ())
    assert read(tmp_path / "made") == built
    assert built.digest != without.digest
    # The same bytes as from a tree that holds them itself.
    (tree / "settings").mkdir()
    (tree / "settings" / "policy.toml").write_text("kinds = []\n")
    assert build(tree, "0.2.0", "x86_64", "", tmp_path / "same").digest == built.digest
    with pytest.raises(BadTree, match="holds settings/ already"):
        build(tree, "0.2.0", "x86_64", "", tmp_path / "twice", brought)


@pytest.mark.parametrize(
    ("says", "code", "said"),
    [
        ("echo 'haulier-agentd: policy.toml: line 1: kinds: no'", 3, r"^policy.toml: line 1: kinds: no$"),
        ("echo 'haulier-agentd: unrecognized arguments: --settings x'", 3, "take a newer tree"),
        (":", 5, "it ended with 5"),
    ],
)
@pytest.mark.parametrize("within", [True, False])
def test_settings_that_the_agent_would_not_take_are_not_built(
    says: str, code: int, said: str, within: bool, tmp_path: Path
) -> None:
    tree, brought = a_tree_that_judges(tmp_path / "tree", says, code), settings(tmp_path)
    if within:
        brought.rename(tree / "settings")
    with pytest.raises(BadTree, match=said):
        build(tree, "0.2.0", "x86_64", "", tmp_path / "made", None if within else brought)
    assert not (tmp_path / "made").exists()


def test_settings_that_are_not_there_or_cannot_be_judged_are_named(tmp_path: Path) -> None:
    tree = a_tree_that_judges(tmp_path / "tree", ":", 0)
    with pytest.raises(BadTree, match="cannot be read: No such file"):
        build(tree, "0.2.0", "x86_64", "", tmp_path / "made", tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadTree, match="holds no settings"):
        build(tree, "0.2.0", "x86_64", "", tmp_path / "made", tmp_path / "empty")
    (tree / "bin" / "haulier-agentd").unlink()
    with pytest.raises(BadTree, match="does not run here"):
        build(tree, "0.2.0", "x86_64", "", tmp_path / "made", settings(tmp_path))
