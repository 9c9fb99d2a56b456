"""Step kinds: the built-in ones declare everything, and a class that does not explain itself is refused."""

from importlib.metadata import EntryPoint

import pytest

from agentd.datastores.port.failures import StepFailure
from agentd.executors import registry
from agentd.executors.context import Context
from agentd.executors.extract import Extract
from agentd.executors.uses import NOTHING, Uses


class Whole:
    """A users' kind that declares everything that it must."""

    kind = "whole"
    SAFE_TO_REPEAT = "It does nothing."
    UNDO = "There is nothing to undo."

    def probe(self, ctx: Context) -> bytes | None:
        return None

    def run(self, ctx: Context) -> bytes:
        return b""

    def undo(self, ctx: Context) -> None:
        return None


class Silent(Whole):
    SAFE_TO_REPEAT = " "


class Sticky:
    kind = "sticky"
    SAFE_TO_REPEAT = "It does nothing."
    UNDO = "None."

    def probe(self, ctx: Context) -> bytes | None:
        return None

    def run(self, ctx: Context) -> bytes:
        return b""


class Loose(Whole):
    @staticmethod
    def uses(params: bytes, undo: bool) -> list[str]:
        return ["/srv"]


def test_every_built_in_kind_explains_itself() -> None:
    found = registry.kinds()
    assert {"extract", "transform", "load", "validate"} <= set(found)
    for kind in registry.BUILT_IN:
        assert registry.kind_of(kind).make().kind == kind


@pytest.mark.parametrize(
    ("kind", "found", "said"),
    [
        ("whole", Whole(), "is not a class"),
        ("whole", Silent, "SAFE_TO_REPEAT"),
        ("sticky", Sticky, "no method undo"),
        ("other", Whole, "calls itself 'whole'"),
    ],
)
def test_a_class_that_is_not_a_step_kind_is_refused(kind: str, found: object, said: str) -> None:
    with pytest.raises(registry.BadExecutor, match=said):
        registry.declared(found, kind)


@pytest.mark.parametrize("declaration", ["PARAMS", "uses", "BY_DEFAULT"])
def test_a_built_in_kind_without_a_declaration_is_refused(declaration: str) -> None:
    bare = type("Bare", (), {name: value for name, value in vars(Extract).items() if name != declaration})
    with pytest.raises(registry.BadExecutor, match=f"declares no {declaration}"):
        registry.declared(bare, is_built_in=True)


def test_a_users_kind_that_declares_nothing_touches_nothing() -> None:
    assert registry.declared(Whole).uses_of(b"{}", undo=False) == NOTHING


def test_a_declaration_that_is_none_is_refused_before_the_step_begins() -> None:
    with pytest.raises(StepFailure, match="gave list, and not Uses"):
        registry.declared(Loose).uses_of(b"", undo=False)


def test_each_thing_is_judged_once_by_the_most_that_is_done_to_it() -> None:
    uses = Uses(reads=("/srv/a", "/srv/b", "/srv/c"), writes=("/srv/b",), deletes=("/srv/a",))
    assert list(uses.things()) == [("/srv/a", True, True), ("/srv/b", True, False), ("/srv/c", False, False)]


def test_users_kinds_come_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("whole", f"{__name__}:Whole", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda **_: [entry])
    monkeypatch.setattr(EntryPoint, "load", lambda self: Whole)
    assert isinstance(registry.kind_of("whole").make(), Whole)
    assert "whole" in registry.kinds()


def test_users_kinds_cannot_shadow_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("load", "some.where:Load", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda **_: [entry])
    with pytest.raises(registry.BadExecutor, match="shadow"):
        registry.kinds()


def test_an_unknown_kind_is_told_what_there_is() -> None:
    with pytest.raises(registry.BadExecutor, match="extract, load, run_program, transform, validate"):
        registry.kind_of("teleport")
