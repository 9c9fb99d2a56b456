"""Builds a release tree: everything one side of Haulier needs, in a directory that runs from wherever it lies.

    python packaging/tree.py build --for agentd --output build/tree/agentd [--version 0.1.1]

`lib/` holds a wheel of this checkout and the pinned versions of what it requires, `bin/` a program for each script of
that side. The programs run on the target's own Python 3.11 and find `lib/` by where they lie themselves, so there is no
path in a tree that leads out of it. Two builds of the same sources are the same bytes.
"""

import argparse
import compileall
import configparser
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from agentd.datastores.engines import ENGINES  # noqa: E402 - this checkout's, whatever else is installed

# Binary wheels fit one minor version of the interpreter, and this one is in Debian 12 and, as a package, in RHEL 9.
PYTHON = "/usr/bin/python3.11"
SITE = Path("lib")
_OURS = ("agentd", "controlplane", "haulier")

# Isolated (-I) from the caller's PYTHON* variables and directory, because root starts it as well, and (-S) from
# whatever else is installed on the host.
_PROGRAM = """#!{python} -BIS
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "lib"))
from {module} import {function}

{function}()
"""


class TreeFailed(Exception):
    """The tree cannot be built; says what and how to mend it."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one side leaves out, so that whatever is added to the project is in both unless it is named here."""

    programs: tuple[str, ...]
    packages_left_out: tuple[str, ...]
    libraries_left_out: tuple[str, ...]


# Only agents open datastores.
_OF_ENGINES = tuple(sorted({module.partition(".")[0] for engine in ENGINES.values() for module in engine.preload}))

SIDES = {
    "agentd": Side(
        programs=("haulier-agentd", "haulier-updater"),
        packages_left_out=("controlplane",),
        libraries_left_out=("pydantic", "pyyaml", "typer", "rich", "argon2-cffi", "bcrypt", "grpcio-reflection"),
    ),
    "controlplane": Side(
        programs=("haulier", "haulier-controlplane"),
        packages_left_out=("agentd",),
        libraries_left_out=(*_OF_ENGINES, "watchfiles"),
    ),
}

# Never run in a release: other people's tests, headers and build leftovers, and parts of pyarrow that nothing here
# imports and that weigh more than all of our own code. A test imports every module of a built tree.
_PRUNED = (
    "bin",
    "pip",
    "_duckdb-stubs",
    "adbc_driver_duckdb",
    "duckdb/experimental",
    "pyarrow/include",
    "pyarrow/includes",
    "pyarrow/src",
    "pyarrow/tests",
    "pyarrow/flight.py",
    "pyarrow/substrait.py",
    "pyarrow/*flight*",
    "pyarrow/_substrait*",
    "pyarrow/_pyarrow_cpp_tests*",
    "pyarrow/_s3fs*",
    "pyarrow/libarrow_s3*",
    "psutil/tests",
    "**/*.pxd",
    "**/*.pxi",
    "**/*.pyx",
    "**/*.pyi",
    "**/*.h",
    "**/*.c",
    "**/py.typed",
    "**/.git*",
    # They hold digests of what was pruned, the order of the installation, and the place it was built at.
    "*.dist-info/RECORD",
    "*.dist-info/INSTALLER",
    "*.dist-info/REQUESTED",
    "*.dist-info/direct_url.json",
    "*.dist-info/sboms",
)


def build(side_name: str, output: Path, version: str | None = None) -> str:
    """Make the tree of one side at `output`, which must not exist; return its version. Raises TreeFailed."""
    if output.exists():
        raise TreeFailed(f"{output} exists already: remove it, or name another place with --output")
    if sys.version_info[:2] != (3, 11):
        raise TreeFailed(f"a tree is built by Python 3.11, whose wheels it holds, not by {sys.version.split()[0]}")
    side = SIDES[side_name]
    with tempfile.TemporaryDirectory(prefix="haulier-tree-") as scratch:
        wheel = build_wheel(Path(scratch), version)
        _install(wheel, side, output / SITE, Path(scratch))
        scripts = _scripts(output / SITE)
    _prune(output / SITE, side)
    (output / "bin").mkdir()
    for name in side.programs:
        if name in scripts:
            _program(output / "bin" / name, scripts[name])
    _compile(output)
    _settle(output)
    (about,) = (output / SITE).glob("haulier-*.dist-info")
    return about.name.removeprefix("haulier-").removesuffix(".dist-info")


def build_wheel(scratch: Path, version: str | None = None) -> Path:
    """Build a wheel from a copy of what is tracked: an old build directory of the checkout would leak into it."""
    source = scratch / "source"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
    if version is not None:
        project = source / "pyproject.toml"
        told = re.sub(r'^version = ".*"$', f'version = "{version}"', project.read_text(), count=1, flags=re.MULTILINE)
        project.write_text(told)
    _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(scratch), str(source)])
    (wheel,) = scratch.glob("*.whl")
    return wheel


def requirements(side: Side) -> list[str]:
    """What this side requires, as the project states it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    kept = []
    for requirement in project["dependencies"]:
        name = re.split(r"[^A-Za-z0-9_.-]", requirement)[0].lower()
        if name not in side.libraries_left_out:
            kept.append(requirement)
    return kept


def _install(wheel: Path, side: Side, site: Path, scratch: Path) -> None:
    wanted = scratch / "requirements.txt"
    wanted.write_text("\n".join(requirements(side)) + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    pip += ["--root-user-action", "ignore", "--target", str(site)]
    _run([*pip, "--only-binary", ":all:", "-c", str(ROOT / "constraints.txt"), "-r", str(wanted)])
    # Its requirements are those above, fewer than it says itself.
    _run([*pip, "--no-deps", str(wheel)])


def _scripts(site: Path) -> dict[str, tuple[str, str]]:
    (told,) = site.glob("haulier-*.dist-info/entry_points.txt")
    parser = configparser.ConfigParser()
    parser.read_string(told.read_text(encoding="utf-8"))
    pairs = ((name, place.partition(":")) for name, place in parser["console_scripts"].items())
    return {name: (module, function) for name, (module, _, function) in pairs}


def _prune(site: Path, side: Side) -> None:
    for pattern in (*_PRUNED, *side.packages_left_out, "pip-*.dist-info"):
        for found in list(site.glob(pattern)):
            if found.is_dir() and not found.is_symlink():
                shutil.rmtree(found)
            else:
                found.unlink()


def _program(path: Path, place: tuple[str, str]) -> None:
    module, function = place
    path.write_text(_PROGRAM.format(python=PYTHON, module=module, function=function), encoding="utf-8")
    path.chmod(0o755)


def _compile(tree: Path) -> None:
    """Compile everything once: the daemons' users cannot write here. Never compared with the source again, whose time
    differs from host to host, and without the place where it was built."""
    # Some libraries carry templates that are no Python, so that only ours must all compile.
    for place, quiet in ((tree / SITE, 2), *((tree / SITE / room, 1) for room in _OURS)):
        compiled = not place.exists() or compileall.compile_dir(
            place, quiet=quiet, stripdir=str(tree), invalidation_mode=PycInvalidationMode.UNCHECKED_HASH, workers=1
        )
        if not compiled and quiet == 1:
            raise TreeFailed(f"{place} does not compile")


def _settle(tree: Path) -> None:
    """One spelling of everything that a file system remembers beside the bytes."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    first: dict[bytes, Path] = {}
    for path in reversed(_walk(tree)):
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()
    for path in _walk(tree):
        if path.is_symlink():
            continue
        path.chmod(0o755 if path.is_dir() or path.parent == tree / "bin" else 0o644)
    for path in _same_libraries(tree):
        # A wheel has no links, so that a library comes once for each of its names.
        content = path.read_bytes()
        if content in first:
            path.unlink()
            path.symlink_to(first[content].name)
        else:
            first[content] = path
    for path in (*_walk(tree), tree):
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def _same_libraries(tree: Path) -> list[Path]:
    return sorted(path for path in (tree / SITE / "pyarrow").glob("lib*.so*") if not path.is_symlink())


def _walk(tree: Path) -> list[Path]:
    return sorted(tree.rglob("*"))


def _run(command: Sequence[str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if ran.returncode:
        raise TreeFailed(f"{' '.join(command[:4])} … failed:\n{ran.stdout[-2000:]}{ran.stderr[-4000:]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    making = verbs.add_parser("build", help="make one tree")
    making.add_argument("--for", dest="side", choices=sorted(SIDES), required=True)
    making.add_argument("--output", type=Path, required=True)
    making.add_argument("--version", help="another version than pyproject.toml says")
    given = parser.parse_args()
    try:
        print(build(given.side, given.output.absolute(), given.version))
    except TreeFailed as error:
        print(f"tree: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
