"""Nobody makes files or names durable by hand: who does it differently forgets one of the steps."""

import ast
from collections.abc import Iterator

import pytest

from tests.repo.test_imports import ROOT, product_files

DURABLE = ("agentd/disk/durable.py", "controlplane/durable.py")
BY_HAND = frozenset({"fsync", "fdatasync", "rename", "renames", "replace", "link", "symlink"})
# Methods of a path with this many arguments; those of texts, dates and SQL sessions take more, or by name.
OF_PATHS = {"rename": 1, "replace": 1, "hardlink_to": 1, "symlink_to": 1}
# Files of the kernel, what nobody reads after a crash, and what gets its name with the whole that it is part of.
REASONS = {
    ("unpacking.py", ".symlink_to()"): "a link of a tree that is made durable and named as a whole",
    ("cgroups.py", ".write_text()"): "a file of the kernel",
    ("child.py", ".write_text()"): "a file of the kernel",
    ("miniature.py", ".write_text()"): "a self-test's own directory, which it removes",
    ("running_in_unit.py", ".write_text()"): "below /run, read by a unit that starts after it was written",
}


def by_hand(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every call or mention that renames, links or syncs without the module for it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "os" and node.attr in BY_HAND:
                yield node.lineno, f"os.{node.attr}"
            if node.value.id == "shutil" and node.attr == "move":
                yield node.lineno, "shutil.move"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            is_of_module = isinstance(node.func.value, ast.Name) and node.func.value.id in ("os", "durable")
            if node.func.attr in ("write_text", "write_bytes") and not is_of_module and not _is_terminal(node.func):
                yield node.lineno, f".{node.func.attr}()"
            if not is_of_module and not node.keywords and len(node.args) == OF_PATHS.get(node.func.attr):
                yield node.lineno, f".{node.func.attr}()"
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            yield from ((node.lineno, f"os.{name.name}") for name in node.names if name.name in BY_HAND)


def _is_terminal(called: ast.Attribute) -> bool:
    return isinstance(called.value, ast.Name) and called.value.id in ("exchange", "terminal")


def test_files_get_their_names_in_one_module_of_each_side() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} has {name}"
        for path in product_files()
        if str(path.relative_to(ROOT)) not in DURABLE
        for line, name in by_hand(ast.parse(path.read_text()))
        if (path.name, name) not in REASONS
    ]
    assert not found, "use durable.py of that side instead:\n" + "\n".join(found)


def test_every_exception_is_still_one() -> None:
    found = {(path.name, name) for path in product_files() for _, name in by_hand(ast.parse(path.read_text()))}
    assert REASONS.keys() <= found


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("os.fsync(file)", ["os.fsync"]),
        ("to_thread(os.fsync, file)", ["os.fsync"]),
        ("from os import link", ["os.link"]),
        ("draft.rename(path)", [".rename()"]),
        ("(home / 'x').replace(path)", [".replace()"]),
        ("shutil.move(a, b)", ["shutil.move"]),
        ("path.write_bytes(data)", [".write_bytes()"]),
        ("text.replace('a', 'b')", []),
        ("now.replace(tzinfo=UTC)", []),
        ("durable.replace(path, data)", []),
        ("session.rename(old, new)", []),
    ],
)
def test_the_look_itself_sees_what_it_is_for(text: str, seen: list[str]) -> None:
    assert [name for _, name in by_hand(ast.parse(text))] == seen
