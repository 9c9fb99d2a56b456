"""The repository: whatever is cut short, it holds what was published before or what is published now."""

import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controlplane.releases.problems import Unproven
from controlplane.releases.repository import Repository
from tests.kit.releases import NOW, Forge, files_of

LATER = NOW + timedelta(days=1)
# Calls by which a publication changes the disk for good.
CHANGING = ((os, "fsync"), (Path, "rename"), (Path, "symlink_to"), (Path, "mkdir"), (Path, "unlink"))


class Cut(Exception):
    """The process ended here."""


def publish(repository: Repository, forge: Forge) -> None:
    """Everything that the listener does for a publication."""
    proven = repository.check(files_of(forge.repository), LATER.timestamp())
    for target in repository.lacks(proven):
        data = (forge.repository / "targets" / target.target_path).read_bytes()
        here = repository.here_bytes(target)
        repository.append(target, here, data[here:])
        repository.complete(target)
    repository.commit(proven)


@pytest.fixture
def forge(tmp_path: Path) -> Forge:
    made = Forge(tmp_path / "forge")
    made.release("0.1.0")
    return made


def versions(repository: Repository) -> list[str]:
    """What is served, each with its artefact whole."""
    for target in repository.targets():
        found = repository.artefact(target.target_path)
        assert found is not None and found[0].stat().st_size == target.length
    return [target.version for target in repository.targets()]


def test_a_publication_that_ends_anywhere_is_old_or_new_and_can_be_done_again(tmp_path: Path, forge: Forge) -> None:
    publish(Repository(tmp_path / "0"), forge)
    forge.release("0.2.0", now=LATER)
    ended_at, served = 0, set()
    while True:
        ended_at += 1
        top = tmp_path / str(ended_at)
        shutil.copytree(tmp_path / "0", top, symlinks=True)
        repository = Repository(top)
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
                publish(repository, forge)
            except Cut:
                pass
            else:
                break
        again = Repository(top)
        assert not again.broken
        served.add(tuple(versions(again)))
        publish(again, forge)
        assert versions(Repository(top)) == ["0.2.0", "0.1.0"]
    assert served == {("0.1.0",), ("0.2.0", "0.1.0")}
    assert ended_at > 10


def test_a_full_disk_keeps_what_came(tmp_path: Path, forge: Forge) -> None:
    repository = Repository(tmp_path / "repository")
    proven = repository.check(files_of(forge.repository), LATER.timestamp())
    (target,) = repository.lacks(proven)
    repository.append(target, 0, b"x" * 10)
    assert Repository(tmp_path / "repository").here_bytes(target) == 10
    with pytest.raises(Unproven, match="do not fit"):
        repository.append(target, 5, b"x")


def test_an_artefact_that_is_cut_short_is_asked_for_again(tmp_path: Path, forge: Forge) -> None:
    repository = Repository(tmp_path / "repository")
    publish(repository, forge)
    (target,) = repository.targets()
    path = tmp_path / "repository" / "artefacts" / target.digest
    whole = path.read_bytes()
    path.write_bytes(whole[: target.length // 2])
    proven = repository.check(files_of(forge.repository), LATER.timestamp())
    assert repository.lacks(proven) == [target]
    repository.append(target, 0, whole)
    repository.complete(target)
    assert repository.lacks(proven) == [] and path.read_bytes() == whole


def test_a_repository_that_was_tampered_with_serves_nothing(tmp_path: Path, forge: Forge) -> None:
    publish(Repository(tmp_path / "repository"), forge)
    (targets,) = (tmp_path / "repository" / "metadata" / "current").glob("*.targets.json")
    targets.write_bytes(targets.read_bytes().replace(b"0.1.0", b"9.9.9"))
    repository = Repository(tmp_path / "repository")
    assert "is broken" in repository.broken and repository.targets() == () and dict(repository.files) == {}
    with pytest.raises(Unproven, match="is broken"):
        repository.check(files_of(forge.repository), LATER.timestamp())
