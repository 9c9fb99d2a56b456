"""Release trees: whole, wherever they lie, and nothing of the place where they were built."""

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TARGET = "/usr/bin/python3.11"
# Downloads of large libraries are part of it, so the bound is generous.
pytestmark = pytest.mark.timeout(600)
PROGRAMS = {"agentd": {"haulier-agentd", "haulier-updater"}, "controlplane": {"haulier", "haulier-controlplane"}}

IMPORTS_ALL = """
import importlib, pkgutil, sys
sys.path.append(sys.argv[1])
for room in sys.argv[2:]:
    package = importlib.import_module(room)
    for found in pkgutil.walk_packages(package.__path__, room + "."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
"""
STARTS_ANOTHER = """
import os, subprocess, sys
sys.path.append(sys.argv[1])
from agentd.installation.own_python import module_command, search_path
told = subprocess.run([*module_command("agentd"), "--help"], env={"PYTHONPATH": search_path()}, capture_output=True)
sys.exit(told.stderr.decode() if told.returncode else None)
"""


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both trees, moved away from where they were built."""
    sys.path.insert(0, str(ROOT / "packaging"))
    building: Any = importlib.import_module("tree")
    built, moved = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("moved")
    for side in PROGRAMS:
        building.build(side, built / side)
        (built / side).rename(moved / side)
    return {side: moved / side for side in PROGRAMS}


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
    )


@pytest.mark.parametrize("side", PROGRAMS)
def test_its_programs_run_from_anywhere_whatever_their_caller_has_set(
    trees: dict[str, Path], side: str, tmp_path: Path
) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('not this one')\n")
    assert {path.name for path in (trees[side] / "bin").iterdir()} == PROGRAMS[side]
    for name in PROGRAMS[side]:
        (tmp_path / name).symlink_to(trees[side] / "bin" / name)
        told = run(tmp_path / name, "--help", PYTHONPATH=str(tmp_path), PYTHONHOME="/nowhere")
        assert told.returncode == 0, told.stderr
        assert name in told.stdout


@pytest.mark.parametrize(
    ("side", "packages"), [("agentd", ["agentd", "haulier"]), ("controlplane", ["controlplane", "haulier"])]
)
def test_every_module_finds_what_it_imports(trees: dict[str, Path], side: str, packages: list[str]) -> None:
    told = run(TARGET, "-IS", "-c", IMPORTS_ALL, trees[side] / "lib", *packages)
    assert told.returncode == 0, told.stderr


def test_the_daemon_starts_other_processes_of_its_own_release(trees: dict[str, Path]) -> None:
    told = run(TARGET, "-IS", "-c", STARTS_ANOTHER, trees["agentd"] / "lib")
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("side", PROGRAMS)
def test_nothing_in_it_leads_out_or_tells_where_it_was_built(trees: dict[str, Path], side: str) -> None:
    top = trees[side]
    for path in top.rglob("*"):
        if path.is_symlink():
            assert path.resolve(strict=True).is_relative_to(top), path
        elif path.suffix == ".pyc":
            assert str(top.parent.parent).encode() not in path.read_bytes(), path
        elif path.is_dir():
            assert any(path.iterdir()), f"{path} is empty, and a release keeps no empty directory"


def test_a_room_that_a_side_does_not_run_is_not_in_its_tree(trees: dict[str, Path]) -> None:
    assert not (trees["agentd"] / "lib" / "controlplane").exists()
    assert not (trees["controlplane"] / "lib" / "agentd").exists()
    assert not list((trees["controlplane"] / "lib").glob("pyarrow*/lib*"))
