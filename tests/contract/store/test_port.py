"""The port itself: each verb is one subject's, promises something, is used by the product and tried by the suite."""

import ast
import inspect
import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

import controlplane
from controlplane.store import port

ROOT = Path(controlplane.__path__[0])
HERE = Path(__file__).parent


@cache
def verbs() -> dict[str, type]:
    """Every verb of the port with the protocol that promises it."""
    own = [protocol for protocol in port.Tx.__mro__ if protocol.__module__.startswith("controlplane.store.verbs.")]
    found = [
        (name, protocol) for protocol in own for name in vars(protocol) if inspect.isfunction(vars(protocol)[name])
    ]
    public = [(name, protocol) for name, protocol in found if not name.startswith("_")]
    assert not [name for name, count in Counter(name for name, _ in public).items() if count > 1]
    return dict(public)


def called_on_tx(files: Iterable[Path]) -> set[str]:
    """Names of the verbs that are called on something named ``tx``."""
    return {
        node.func.attr
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "tx"
    }


@pytest.mark.parametrize("name", sorted(verbs()))
def test_every_verb_says_what_it_promises(name: str) -> None:
    promise = inspect.getdoc(vars(verbs()[name])[name])
    assert promise and promise.splitlines()[0].endswith(".")


def test_no_protocol_is_everything() -> None:
    sizes = Counter(protocol.__name__ for protocol in verbs().values())
    assert max(sizes.values()) <= 24, sizes


def test_every_verb_is_used_by_the_product() -> None:
    """A verb that nobody calls is a promise that nobody keeps."""
    product = (path for path in ROOT.rglob("*.py") if not path.is_relative_to(ROOT / "store"))
    assert set(verbs()) - called_on_tx(product) == set()


def test_rows_are_read_by_name() -> None:
    """A number as a subscript says nothing, and says something else once a column has moved."""

    def is_number(node: ast.expr | None) -> bool:
        if isinstance(node, ast.Slice):
            return is_number(node.lower) or is_number(node.upper)
        return isinstance(node, ast.Constant) and isinstance(node.value, int)

    numbered = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in (ROOT / "store").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Subscript) and is_number(node.slice)
    ]
    assert not numbered


def test_a_statement_names_the_columns_that_it_reads_and_writes() -> None:
    """``SELECT *`` and ``INSERT INTO t VALUES`` go by the order of the table, which a revision may change."""
    for path in (ROOT / "store").rglob("queries/*.sql"):
        assert not re.findall(r"SELECT (?:\w+\.)?\*|INTO \w+ VALUES", path.read_text()), path


def test_every_verb_is_tried_by_the_suite() -> None:
    """What no test of the suite calls, another store may do as it likes."""
    suite = (path for path in HERE.glob("*.py"))
    assert set(verbs()) - called_on_tx(suite) == set()


def test_the_suite_knows_no_store() -> None:
    """Which stores there are stands in ``factories`` alone; what is particular to one has a folder of its own."""
    for path in HERE.glob("*.py"):
        if path.name not in ("factories.py", Path(__file__).name):
            assert "sqlite" not in path.read_text().lower(), path
