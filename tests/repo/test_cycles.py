"""No file of the product imports, by whatever way round, a file that imports it; imports inside functions count."""

import ast
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.repo.test_imports import imports_in, module_of, product_files

Graph = Mapping[str, set[str]]


def graph() -> Graph:
    """Module → the modules of the product that it imports."""
    files = {module_of(path): path for path in product_files()}
    return {module: _imported(path, set(files)) - {module} for module, path in files.items()}


def _imported(path: Path, modules: set[str]) -> set[str]:
    """`from a.b import c` is an import of a.b.c where that is a file, else of a.b."""
    names = {name for _, name in imports_in(ast.parse(path.read_text()))}
    return {name if name in modules else name.rpartition(".")[0] for name in names} & modules


def cycle_in(found: Graph) -> list[str]:
    """Return one circle of imports; empty when there is none."""
    try:
        TopologicalSorter(found).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_file_imports_in_a_circle() -> None:
    found = graph()
    assert sum(map(len, found.values())) > len(found), "imports are seen at all"
    circle = cycle_in(found)
    assert not circle, " → ".join(circle)


@pytest.mark.parametrize(
    ("found", "is_circle"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, False),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}}, True),
        ({"a": {"b", "c"}, "b": {"c"}, "c": set()}, False),
    ],
)
def test_circles_are_seen(found: Graph, is_circle: bool) -> None:
    assert bool(cycle_in(found)) is is_circle
