"""Every step kind this agent can run: the built-in ones, and users' own by entry point.

A kind is declared by its class, and here its name is put into the one table. The class says

- `kind`: its name
- `SAFE_TO_REPEAT`, `UNDO`: in a sentence each, why running it twice is harmless and what its undo restores
- `PARAMS`: the message of its parameters; kinds of users may leave it out and are given bytes
- `uses(params, undo)`: what a step touches, as `Uses`; a user's kind without it touches its own directory only
- `BY_DEFAULT`: whether the policy that packages bring allows it
- `ALLOWED_WITH`, `NEEDS_PROGRAMS`: what the policy must know of it besides, see `agentd.policy.kinds`

A user's package declares `my_kind = "package.module:Class"` under the entry point group `haulier.step_kinds`. A class
that lacks a declaration is refused here, before it can touch anything.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from google.protobuf.message import Message
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.failures import StepFailure
from agentd.executors.clean_up import CleanUp
from agentd.executors.context import Executor
from agentd.executors.extract import Extract
from agentd.executors.load import Load
from agentd.executors.run_program import RunProgram
from agentd.executors.transform import Transform
from agentd.executors.translate import decoded
from agentd.executors.uses import NOTHING, Uses
from agentd.executors.validate import Validate

ENTRY_POINTS = "haulier.step_kinds"


class BadExecutor(ValueError):
    """A class that cannot be a step kind; the message says which and why."""


@dataclass(frozen=True, slots=True)
class StepKind:
    """A declared kind. `make` gives a fresh executor; `params` is None where a user's kind is given bytes."""

    name: str
    make: Callable[[], Executor]
    uses: Callable[[Any, bool], Uses]
    params: type[Message] | None = None
    by_default: bool = False
    allowed_with: tuple[str, ...] = ()
    needs_programs: bool = False

    def uses_of(self, data: bytes, undo: bool) -> Uses:
        """What a step with these parameters touches; raises StepFailure (bad_params, not_declared)."""
        return self.uses_of_read(data if self.params is None else decoded(self.params(), data), undo)

    def uses_of_read(self, params: Message | bytes, undo: bool) -> Uses:
        """The same, for parameters that are read already."""
        found = self.uses(params, undo)
        if not isinstance(found, Uses):
            raise self._bad(f"gave {type(found).__name__}, and not Uses")
        for thing, _, _ in found.things():
            if not isinstance(thing, str | k.Datastore):
                raise self._bad(f"names {thing!r}, which is neither a path nor a Datastore")
        return found

    def _bad(self, what: str) -> StepFailure:
        message = f"step kind {self.name!r}: its method `uses` {what}"
        return StepFailure("not_declared", message, "Return agentd.executors.uses.Uses with paths as text.")


def _touches_nothing(params: Any, undo: bool) -> Uses:
    del params, undo
    return NOTHING


def declared(found: object, name: str = "", *, is_built_in: bool = False) -> StepKind:
    """The kind that a class declares; raises BadExecutor where something is missing, or `name` is another."""
    kind = name or str(getattr(found, "kind", ""))
    if not isinstance(found, type):
        raise BadExecutor(f"step kind {kind!r} is not a class")
    for sentence in ("SAFE_TO_REPEAT", "UNDO"):
        if not str(getattr(found, sentence, "") or "").strip():
            raise BadExecutor(f"step kind {kind!r} ({found.__name__}) has no sentence {sentence}")
    for method in ("probe", "run", "undo"):
        if not callable(getattr(found, method, None)):
            raise BadExecutor(f"step kind {kind!r} ({found.__name__}) has no method {method}")
    if getattr(found, "kind", None) != kind:
        raise BadExecutor(f"step kind {kind!r} ({found.__name__}) calls itself {getattr(found, 'kind', None)!r}")
    for declaration in ("PARAMS", "uses", "BY_DEFAULT") if is_built_in else ():
        if not hasattr(found, declaration):
            raise BadExecutor(f"step kind {kind!r} ({found.__name__}) declares no {declaration}")
    uses = getattr(found, "uses", _touches_nothing)
    if not callable(uses):
        raise BadExecutor(f"step kind {kind!r} ({found.__name__}) has a `uses` that is not a method")
    return StepKind(
        kind,
        found,
        uses,
        getattr(found, "PARAMS", None),
        bool(getattr(found, "BY_DEFAULT", False)),
        tuple(getattr(found, "ALLOWED_WITH", ())),
        bool(getattr(found, "NEEDS_PROGRAMS", False)),
    )


def _built_in(classes: Iterable[type]) -> dict[str, StepKind]:
    return {kind.name: kind for kind in (declared(found, is_built_in=True) for found in classes)}


BUILT_IN = _built_in((Extract, Transform, Load, Validate, RunProgram, CleanUp))


def _loaded(entry: EntryPoint) -> StepKind:
    if entry.name in BUILT_IN:
        raise BadExecutor(f"step kind {entry.name!r} of {entry.value} would shadow a built-in kind")
    return declared(entry.load(), entry.name)


def kinds() -> dict[str, StepKind]:
    """Step kind → its declaration, built-in and users'. Raises BadExecutor for the first users' kind that is not
    one."""
    return BUILT_IN | {entry.name: _loaded(entry) for entry in entry_points(group=ENTRY_POINTS)}


def kind_of(name: str) -> StepKind:
    """The kind of this name; raises BadExecutor where this agent has none. Loads only the one asked for."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    for entry in entry_points(group=ENTRY_POINTS, name=name):
        return _loaded(entry)
    raise BadExecutor(f"this agent has no step kind {name!r}; it has {', '.join(sorted(kinds()))}")
