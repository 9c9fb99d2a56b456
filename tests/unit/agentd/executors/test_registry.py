"""Step kinds: the built-in ones are whole, and a class that does not explain itself is refused."""

from importlib.metadata import EntryPoint

import pytest

from agentd.executors import registry
from agentd.executors.context import Context


class Whole:
    """A users' kind that declares everything."""

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


def test_every_built_in_kind_explains_itself() -> None:
    found = registry.kinds()
    assert {"extract", "transform", "load", "validate"} <= set(found)
    for kind in registry.BUILT_IN:
        assert registry.executor(kind).kind == kind


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
        registry.checked(kind, found)


def test_users_kinds_come_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("whole", f"{__name__}:Whole", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda **_: [entry])
    monkeypatch.setattr(EntryPoint, "load", lambda self: Whole)
    assert isinstance(registry.executor("whole"), Whole)
    assert "whole" in registry.kinds()


def test_users_kinds_cannot_shadow_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("load", "some.where:Load", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda **_: [entry])
    with pytest.raises(registry.BadExecutor, match="shadow"):
        registry.kinds()


def test_an_unknown_kind_is_told_what_there_is() -> None:
    with pytest.raises(registry.BadExecutor, match="extract, load, run_program, transform, validate"):
        registry.executor("teleport")
