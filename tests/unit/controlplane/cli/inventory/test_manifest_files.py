"""Gathering manifests from paths."""

import io
import os
from pathlib import Path

import pytest

from controlplane.cli.inventory import manifest_files
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem

EMPTY = io.BytesIO()


def tree(root: Path) -> Path:
    for name in ("b.yaml", "a.yml", "sub/c.yaml", ".git/d.yaml", ".hidden.yaml", "notes.txt"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def test_a_directory_stands_for_the_manifests_below_it_in_order(tmp_path: Path) -> None:
    files = manifest_files.gather([str(tree(tmp_path))], EMPTY)
    assert [file.path for file in files] == [str(tmp_path / name) for name in ("a.yml", "b.yaml", "sub/c.yaml")]
    assert [file.content for file in files] == [b"a.yml", b"b.yaml", b"sub/c.yaml"]


def test_a_named_file_is_taken_whatever_its_name(tmp_path: Path) -> None:
    path = str(tree(tmp_path) / "notes.txt")
    assert [file.path for file in manifest_files.gather([path], EMPTY)] == [path]


def test_a_file_named_twice_is_sent_once(tmp_path: Path) -> None:
    tree(tmp_path)
    (tmp_path / "link.yaml").symlink_to(tmp_path / "b.yaml")
    files = manifest_files.gather([str(tmp_path / "b.yaml"), str(tmp_path)], EMPTY)
    assert [file.content for file in files] == [b"b.yaml", b"a.yml", b"sub/c.yaml"]


def test_standard_input() -> None:
    files = manifest_files.gather(["-"], io.BytesIO(b"kind: Dataset"))
    assert [(file.path, file.content) for file in files] == [("<stdin>", b"kind: Dataset")]


def test_a_directory_that_links_to_itself_ends(tmp_path: Path) -> None:
    (tree(tmp_path) / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert len(manifest_files.gather([str(tmp_path)], EMPTY)) == 3


def test_a_directory_without_manifests_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="holds no manifests") as caught:
        manifest_files.gather([str(tmp_path)], EMPTY)
    assert caught.value.code is Exit.USAGE


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        manifest_files.gather([str(tmp_path / "missing.yaml")], EMPTY)
    assert caught.value.filename == str(tmp_path / "missing.yaml")


def test_a_file_without_end_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(Problem, match="larger than 32 MiB") as caught:
        manifest_files.gather(["/dev/zero"], EMPTY)
    assert caught.value.where == "/dev/zero"
    assert caught.value.code is Exit.USAGE


def test_the_whole_request_is_bounded_and_not_each_file(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml", "c.yaml"):
        (tmp_path / name).write_bytes(b"#" * (12 << 20))
    with pytest.raises(Problem) as caught:
        manifest_files.gather([str(tmp_path)], EMPTY)
    assert caught.value.where == str(tmp_path / "c.yaml")


def test_what_is_gathered_fits_into_the_request(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number:03d}.yaml").write_bytes(b"x" * number)
    files = manifest_files.gather([str(tmp_path)], EMPTY)
    counted = sum(len(file.content) + len(file.path) + 16 for file in files)
    assert sum(file.ByteSize() + 4 for file in files) <= counted


def test_a_path_that_is_no_text_still_travels(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yaml")
    Path(path).write_text("x")
    assert manifest_files.gather([path], EMPTY)[0].path.endswith("/\ufffd.yaml")
