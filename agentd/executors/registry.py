"""Every step kind this agent can run: the built-in ones, and users' own by entry point.

A user's package declares `my_kind = "package.module:Class"` under the entry point group `haulier.step_kinds`. A class
that does not say why it is safe to repeat and what its undo restores is refused here, before it can touch anything.
"""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from agentd.executors.clean_up import CleanUp
from agentd.executors.context import Executor
from agentd.executors.extract import Extract
from agentd.executors.load import Load
from agentd.executors.run_program import RunProgram
from agentd.executors.transform import Transform
from agentd.executors.validate import Validate

ENTRY_POINTS = "haulier.step_kinds"

BUILT_IN: dict[str, Callable[[], Executor]] = {
    "extract": Extract,
    "transform": Transform,
    "load": Load,
    "validate": Validate,
    "run_program": RunProgram,
    "clean_up": CleanUp,
}


class BadExecutor(ValueError):
    """A class that cannot be a step kind; the message says which and why."""


def checked(kind: str, found: object) -> Callable[[], Executor]:
    """The class, if it declares everything a step kind must; raises BadExecutor otherwise."""
    if not isinstance(found, type):
        raise BadExecutor(f"step kind {kind!r} is not a class")
    for name in ("SAFE_TO_REPEAT", "UNDO"):
        if not str(getattr(found, name, "") or "").strip():
            raise BadExecutor(f"step kind {kind!r} ({found.__name__}) has no sentence {name}")
    for name in ("probe", "run", "undo"):
        if not callable(getattr(found, name, None)):
            raise BadExecutor(f"step kind {kind!r} ({found.__name__}) has no method {name}")
    if getattr(found, "kind", None) != kind:
        raise BadExecutor(f"step kind {kind!r} ({found.__name__}) calls itself {getattr(found, 'kind', None)!r}")
    return found


def _loaded(entry: EntryPoint) -> Callable[[], Executor]:
    if entry.name in BUILT_IN:
        raise BadExecutor(f"step kind {entry.name!r} of {entry.value} would shadow a built-in kind")
    return checked(entry.name, entry.load())


def kinds() -> dict[str, Callable[[], Executor]]:
    """Step kind → class, built-in and users'. Raises BadExecutor for the first users' kind that is not one."""
    own = {kind: checked(kind, found) for kind, found in BUILT_IN.items()}
    return own | {entry.name: _loaded(entry) for entry in entry_points(group=ENTRY_POINTS)}


def executor(kind: str) -> Executor:
    """A fresh executor of the kind; raises BadExecutor where this agent has none. Loads only the one asked for."""
    if kind in BUILT_IN:
        return checked(kind, BUILT_IN[kind])()
    for entry in entry_points(group=ENTRY_POINTS, name=kind):
        return _loaded(entry)()
    raise BadExecutor(f"this agent has no step kind {kind!r}; it has {', '.join(sorted(kinds()))}")
