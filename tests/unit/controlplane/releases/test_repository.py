"""The shelf: whatever is cut short, it holds what was published before or what is published now."""

import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane.releases.problems import Unproven
from controlplane.releases.repository import Shelf
from tests.kit.releases import NOW, Forge, files_of

LATER = NOW + timedelta(days=1)
# Calls by which a publication changes the disk for good.
CHANGING = ((os, "fsync"), (Path, "rename"), (Path, "symlink_to"), (Path, "mkdir"), (Path, "unlink"))


class Cut(Exception):
    """The process ended here."""


def publish(shelf: Shelf, forge: Forge) -> None:
    """Everything that the door does for a publication."""
    proven = shelf.check(files_of(forge.repository), LATER.timestamp())
    for target in shelf.lacks(proven):
        data = (forge.repository / "targets" / target.target_path).read_bytes()
        here = shelf.here_bytes(target)
        shelf.append(target, here, data[here:])
        shelf.complete(target)
    shelf.commit(proven)


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    made = Forge(tmp_path / "forge")
    made.release("0.1.0")
    return made


def versions(shelf: Shelf) -> list[str]:
    """What is served, each with its artefact whole."""
    for target in shelf.targets():
        found = shelf.artefact(target.target_path)
        assert found is not None and found[0].stat().st_size == target.length
    return [target.version for target in shelf.targets()]


def test_a_publication_that_ends_anywhere_is_old_or_new_and_can_be_done_again(tmp_path: Path, forge: Forge) -> None:
    publish(Shelf(tmp_path / "0"), forge)
    forge.release("0.2.0", now=LATER)
    ended_at, served = 0, set()
    while True:
        ended_at += 1
        top = tmp_path / str(ended_at)
        shutil.copytree(tmp_path / "0", top, symlinks=True)
        shelf = Shelf(top)
        left = ended_at

        def cut(true: Any) -> Any:
            def call(*arguments: Any, **named: Any) -> Any:
                nonlocal left
                left -= 1
                if left == 0:
                    raise Cut
                return true(*arguments, **named)

            return call

        with pytest.MonkeyPatch.context() as patch:
            for owner, name in CHANGING:
                patch.setattr(owner, name, cut(getattr(owner, name)))
            try:
                publish(shelf, forge)
            except Cut:
                pass
            else:
                break
        again = Shelf(top)
        assert not again.broken
        served.add(tuple(versions(again)))
        publish(again, forge)
        assert versions(Shelf(top)) == ["0.2.0", "0.1.0"]
    assert served == {("0.1.0",), ("0.2.0", "0.1.0")}
    assert ended_at > 10


def test_a_full_disk_keeps_what_came(tmp_path: Path, forge: Forge) -> None:
    shelf = Shelf(tmp_path / "shelf")
    proven = shelf.check(files_of(forge.repository), LATER.timestamp())
    (target,) = shelf.lacks(proven)
    shelf.append(target, 0, b"x" * 10)
    assert Shelf(tmp_path / "shelf").here_bytes(target) == 10
    with pytest.raises(Unproven, match="do not fit"):
        shelf.append(target, 5, b"x")


def test_an_artefact_that_is_cut_short_is_asked_for_again(tmp_path: Path, forge: Forge) -> None:
    shelf = Shelf(tmp_path / "shelf")
    publish(shelf, forge)
    (target,) = shelf.targets()
    path = tmp_path / "shelf" / "artefacts" / target.digest
    whole = path.read_bytes()
    path.write_bytes(whole[: target.length // 2])
    proven = shelf.check(files_of(forge.repository), LATER.timestamp())
    assert shelf.lacks(proven) == [target]
    shelf.append(target, 0, whole)
    shelf.complete(target)
    assert shelf.lacks(proven) == [] and path.read_bytes() == whole


def test_a_shelf_that_was_tampered_with_serves_nothing(tmp_path: Path, forge: Forge) -> None:
    publish(Shelf(tmp_path / "shelf"), forge)
    (targets,) = (tmp_path / "shelf" / "metadata" / "current").glob("*.targets.json")
    targets.write_bytes(targets.read_bytes().replace(b"0.1.0", b"9.9.9"))
    shelf = Shelf(tmp_path / "shelf")
    assert "is broken" in shelf.broken and shelf.targets() == () and dict(shelf.files) == {}
    with pytest.raises(Unproven, match="is broken"):
        shelf.check(files_of(forge.repository), LATER.timestamp())
