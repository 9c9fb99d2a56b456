"""Plants a bug: product code is changed while it is imported, and never in the checkout."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

QUERIES = "controlplane.store.sqlite.queries"


class NotPlanted(Exception):
    """The product's text is no longer what the planted bug replaces."""


@dataclass(frozen=True, slots=True)
class Change:
    """Replace ``old``, which occurs exactly once, by ``new``.

    ``module`` is a product module, or ``sql:NAME`` for the named query NAME.
    """

    module: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Planted:
    """A bug that a tired engineer could write. ``breaks`` lists the promises of which one must be named."""

    name: str
    story: str
    breaks: tuple[str, ...]
    changes: tuple[Change, ...]


def source_of(module: str) -> str:
    """Return the text of a product module or of a named query as it is now."""
    if module.startswith("sql:"):
        from controlplane.store.sqlite.queries import named

        return named()[module.removeprefix("sql:")]
    found = importlib.util.find_spec(module)
    assert found is not None and found.origin is not None, f"{module} is a product module"
    return Path(found.origin).read_text(encoding="utf-8")


def changed(text: str, changes: Sequence[Change]) -> str:
    """Return ``text`` with all changes made. Raises ``NotPlanted``."""
    for change in changes:
        if text.count(change.old) != 1:
            raise NotPlanted(f"{change.module}: found {text.count(change.old)} times, not once: {change.old!r}")
        text = text.replace(change.old, change.new)
    return text


class _Finder(importlib.abc.MetaPathFinder):
    """Gives the changed modules a loader of their own."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._by_module: dict[str, list[Change]] = {}
        for change in changes:
            self._by_module.setdefault(change.module, []).append(change)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Find what is to be changed; everything else is found as usual."""
        if fullname not in self._by_module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        assert spec is not None and spec.origin is not None, f"{fullname} is a product module"
        spec.loader = _Loader(fullname, spec.origin, self._by_module[fullname])
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, changes: Sequence[Change]) -> None:
        super().__init__(fullname, path)
        self._changes = changes

    def get_code(self, fullname: str) -> object:  # type: ignore[override]
        text = changed(Path(self.path).read_text(encoding="utf-8"), self._changes)
        return compile(text, self.path, "exec")


def plant(planted: Planted) -> None:
    """Change the product in this process. Must come before its first import. Raises ``NotPlanted``."""
    modules = [change for change in planted.changes if not change.module.startswith("sql:")]
    early = [change.module for change in modules if change.module in sys.modules]
    assert not early, f"already imported: {early}"
    sys.meta_path.insert(0, _Finder(modules))
    for change in planted.changes:
        if change.module.startswith("sql:"):
            statements = importlib.import_module(QUERIES).named()
            name = change.module.removeprefix("sql:")
            statements[name] = changed(statements[name], [change])
