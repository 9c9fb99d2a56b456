"""Durable writes, as both sides make them: the sides do not import each other, so each has its own, and both must do
the same. Each is killed and refused at every call that changes the disk."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import agentd.disk.durable
import controlplane.durable
from tests.kit.failing_disk import Act, Disk, hold

SIDES = [agentd.disk.durable, controlplane.durable]
OLD, NEW = b"old" * 1000, b"new" * 2000


def nothing(home: Path) -> None:
    pass


def the_old_one(home: Path) -> None:
    (home / "file").write_bytes(OLD)


def bytes_of(home: Path) -> bytes | None:
    return (home / "file").read_bytes() if (home / "file").exists() else None


def streamed(side: ModuleType) -> Callable[[Path], None]:
    def act(home: Path) -> None:
        with side.replacing(home / "file") as file:
            file.write(NEW[:100])
            file.write(NEW[100:])

    return act


def moved(side: ModuleType) -> Callable[[Path], None]:
    def act(home: Path) -> None:
        shutil.rmtree(home / "next", ignore_errors=True)
        if not (home / "whole").exists():
            side.fill_directory(home / "next", {"file": NEW, "other": OLD})
            side.move(home / "next", home / "whole")

    return act


def what_is_whole(home: Path) -> list[bytes] | None:
    return [(home / "whole" / name).read_bytes() for name in ("file", "other")] if (home / "whole").exists() else None


def the_deep_directory(home: Path) -> bool:
    return (home / "a" / "b" / "c").is_dir()


def swapped(side: ModuleType) -> Callable[[Path], None]:
    def act(home: Path) -> None:
        number = 1 + max(int(path.name) for path in home.iterdir() if path.name.isdigit())
        side.fill_directory(home / str(number), {"file": NEW, "other": NEW})
        side.point(home / "current", str(number))

    return act


def one_directory(home: Path) -> None:
    (home / "1").mkdir()
    (home / "1" / "file").write_bytes(OLD)
    (home / "1" / "other").write_bytes(OLD)
    (home / "current").symlink_to("1")


def what_is_current(home: Path) -> list[bytes]:
    return [(home / "current" / name).read_bytes() for name in ("file", "other")]


ACTS: dict[str, Callable[[ModuleType], Act]] = {
    "replace": lambda side: Act(the_old_one, lambda home: side.replace(home / "file", NEW), bytes_of),
    "replace what is not there": lambda side: Act(nothing, lambda home: side.replace(home / "file", NEW), bytes_of),
    "replacing in pieces": lambda side: Act(the_old_one, streamed(side), bytes_of),
    "create": lambda side: Act(
        nothing, lambda home: side.create(home / "file", NEW), bytes_of, again=(FileExistsError,)
    ),
    "fill, then move": lambda side: Act(nothing, moved(side), what_is_whole),
    "fill, then point": lambda side: Act(one_directory, swapped(side), what_is_current),
    "make directories": lambda side: Act(
        nothing,
        lambda home: side.make_directory(home / "a" / "b" / "c"),
        lambda home: (home / "a" / "b" / "c").is_dir(),
    ),
}


@pytest.mark.parametrize("side", SIDES, ids=["agent", "control plane"])
@pytest.mark.parametrize("name", ACTS)
def test_a_reader_finds_the_old_or_the_new_whatever_call_fails(side: ModuleType, name: str, tmp_path: Path) -> None:
    calls = hold(ACTS[name](side), tmp_path / "disk")
    assert any(call.startswith("fsync") for call in calls)


@pytest.mark.parametrize("side", SIDES, ids=["agent", "control plane"])
def test_of_two_who_create_one_file_the_first_one_stays(side: ModuleType, tmp_path: Path) -> None:
    side.create(tmp_path / "file", OLD)
    with pytest.raises(FileExistsError):
        side.create(tmp_path / "file", NEW)
    assert bytes_of(tmp_path) == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("side", SIDES, ids=["agent", "control plane"])
def test_a_block_that_raises_leaves_the_old_file_and_nothing_else(side: ModuleType, tmp_path: Path) -> None:
    the_old_one(tmp_path)
    with pytest.raises(ValueError, match="changed its mind"), side.replacing(tmp_path / "file") as file:
        file.write(NEW)
        raise ValueError("changed its mind")
    assert bytes_of(tmp_path) == OLD
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("side", SIDES, ids=["agent", "control plane"])
@pytest.mark.parametrize("umask", [0o077, 0o022, 0])
def test_permissions_are_those_that_are_asked_for(side: ModuleType, umask: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        side.replace(tmp_path / "secret", NEW)
        side.replace(tmp_path / "public", NEW, mode=0o644)
        side.create(tmp_path / "shared", NEW, mode=None)
    finally:
        os.umask(before)
    found = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert found == {"secret": 0o600, "public": 0o644, "shared": 0o666 & ~umask}


@pytest.mark.parametrize("side", SIDES, ids=["agent", "control plane"])
def test_what_is_void_after_a_boot_costs_no_sync(side: ModuleType, tmp_path: Path) -> None:
    disk = Disk()
    with disk.watching():
        side.replace(tmp_path / "file", NEW, synced=False)
    assert bytes_of(tmp_path) == NEW
    assert not [call for call in disk.calls if call.startswith("fsync")]


@pytest.mark.parametrize("side", SIDES, ids=["agent", "control plane"])
def test_no_link_is_followed_where_a_draft_would_lie(
    side: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (victim := tmp_path / "victim").write_bytes(OLD)
    monkeypatch.setattr(side, "_draft_of", lambda path: path.with_name("draft"))
    (tmp_path / "draft").symlink_to(victim)
    side.replace(tmp_path / "file", NEW)
    assert (victim.read_bytes(), bytes_of(tmp_path)) == (OLD, NEW)
    assert not (tmp_path / "file").is_symlink()


def test_keys_can_lie_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def linkless(source: object, target: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", linkless)
    controlplane.durable.create(tmp_path / "file", OLD)
    with pytest.raises(FileExistsError):
        controlplane.durable.create(tmp_path / "file", NEW)
    assert bytes_of(tmp_path) == OLD
    # A fence must tell who was first, so an agent refuses such a place instead.
    with pytest.raises(OSError, match="not permitted"):
        agentd.disk.durable.create(tmp_path / "other", NEW)


@pytest.mark.parametrize("side", SIDES, ids=["agent", "control plane"])
def test_a_directory_below_a_file_is_refused_as_what_it_is(side: ModuleType, tmp_path: Path) -> None:
    the_old_one(tmp_path)
    with pytest.raises(NotADirectoryError):
        side.make_directory(tmp_path / "file" / "below")
    side.make_directory(tmp_path)
