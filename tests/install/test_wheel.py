"""The wheel: what is in it, and that it runs in an environment that has never seen the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Downloads of large libraries are part of it, so the bound is generous.
pytestmark = pytest.mark.timeout(600)
CLEAN = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=CLEAN, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=500, check=False
    )


def tracked(*patterns: str) -> list[str]:
    listed = run("git", "ls-files", "-z", "--", *patterns, cwd=ROOT)
    assert listed.returncode == 0, listed.stderr
    return [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds from a copy of what is tracked: a checkout's old build directory would leak into the wheel."""
    source = tmp_path_factory.mktemp("source")
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    built = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist", cwd=source)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = (source / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment that holds the wheel and the pinned versions of what it requires, and nothing else."""
    folder = tmp_path_factory.mktemp("clean")
    made = run(sys.executable, "-m", "venv", folder / "env", cwd=folder)
    assert made.returncode == 0, made.stdout + made.stderr
    python = folder / "env" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    installed = run(python, "-m", "pip", "install", "--quiet", "-c", constraints, wheel, cwd=folder)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return folder / "env"


def test_the_wheel_holds_the_product_whole_and_nothing_else(wheel: Path) -> None:
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    product = tracked("controlplane/*.py", "controlplane/*.sql", "controlplane/*.yaml", "agentd/*.py", "agentd/*.sql")
    contract = [name.removeprefix("proto/") for name in tracked("proto/*.py", "proto/*.pyi", "proto/*.proto")]

    assert inside == {*product, *contract}
    assert any(name.endswith("_pb2_grpc.py") for name in inside)
    assert any(name.endswith(".sql") for name in inside)


def test_the_wheel_holds_the_licence_and_names_the_four_scripts(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        about = {name.partition(".dist-info/")[2]: name for name in archive.namelist() if ".dist-info/" in name}
        licence = archive.read(about["licenses/LICENSE"])
        scripts = archive.read(about["entry_points.txt"]).decode()
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert [line.split(" = ")[0] for line in scripts.splitlines() if "=" in line] == [
        "haulier",
        "haulier-agentd",
        "haulier-controlplane",
        "haulier-updater",
    ]


@pytest.mark.parametrize("script", ["haulier", "haulier-controlplane", "haulier-agentd", "haulier-updater"])
def test_each_script_runs_and_explains_itself(environment: Path, tmp_path: Path, script: str) -> None:
    helped = run(environment / "bin" / script, "--help", cwd=tmp_path)

    assert helped.returncode == 0, helped.stdout + helped.stderr
    assert script in helped.stdout
    assert helped.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_what_runs_is_what_was_installed(environment: Path, tmp_path: Path) -> None:
    asked = run(
        environment / "bin" / "python",
        "-c",
        "import agentd, controlplane, haulier.v1.agent_pb2 as contract; "
        "print(agentd.__file__, controlplane.__file__, contract.__file__, sep='\\n')",
        cwd=tmp_path,
    )
    assert asked.returncode == 0, asked.stderr
    assert [Path(place).is_relative_to(environment) for place in asked.stdout.split()] == [True, True, True]


def test_the_pinned_versions_fit_together(environment: Path, tmp_path: Path) -> None:
    checked = run(environment / "bin" / "python", "-m", "pip", "check", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout
