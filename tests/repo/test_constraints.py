"""The pinned versions: names and versions only, complete, and those that are installed here."""

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pinned() -> dict[str, str]:
    return {canonicalize_name(name): version for name, _, version in (line.partition("==") for line in LINES)}


def wanted(requirements: list[str], extras: tuple[str, ...] = ("",)) -> list[Requirement]:
    parsed = [Requirement(each) for each in requirements]
    return [each for each in parsed if not each.marker or any(each.marker.evaluate({"extra": one}) for one in extras)]


def closure(requirements: list[Requirement]) -> set[str]:
    """Names of everything that these requirements bring along, as the installed packages declare it."""
    found: set[tuple[str, str]] = set()
    waiting = [(each.name, extra) for each in requirements for extra in ("", *each.extras)]
    while waiting:
        name, extra = waiting.pop()
        if (canonicalize_name(name), extra) in found:
            continue
        found.add((canonicalize_name(name), extra))
        for each in wanted(metadata.requires(name) or [], (extra,)):
            waiting += [(each.name, one) for one in ("", *each.extras)]
    # sqlite-utils asks for pip, of any version: the one that came with the virtual environment will do.
    return {name for name, _ in found} - {"pip"}


def test_constraints_are_names_and_versions_in_order() -> None:
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*==[0-9][0-9a-z.]*", line) for line in LINES)
    names = [line.partition("==")[0] for line in LINES]
    assert sorted(set(names)) == names


def test_everything_that_is_required_is_pinned_and_installed_so() -> None:
    required = closure(wanted(PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]))
    assert len(required) > 30
    installed = {name: metadata.version(name) for name in required}
    assert {name: version for name, version in installed.items() if pinned().get(name) != version} == {}


def test_the_pins_satisfy_what_the_project_asks_for() -> None:
    extras = [each for group in PROJECT["optional-dependencies"].values() for each in group]
    for requirement in wanted(PROJECT["dependencies"] + extras):
        assert requirement.specifier.contains(pinned()[canonicalize_name(requirement.name)]), requirement
