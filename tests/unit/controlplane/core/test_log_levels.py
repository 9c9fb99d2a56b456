"""What a person sees in the control plane's own log."""

import ast
from pathlib import Path

import pytest

import controlplane
from controlplane.core import states
from controlplane.core.events import Event
from controlplane.core.log_levels import LOUD, PLAIN, QUIET, line_of


def written_in_code() -> set[str]:
    """Every type of event that a transition table or the making of an event names."""
    found = {event for name, table in vars(states).items() if name.endswith("_TRANSITIONS") for _, event in table}
    for path in Path(controlplane.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Event" and len(node.args) > 1:
                constants = [each for each in ast.walk(node.args[1]) if isinstance(each, ast.Constant)]
                found |= {str(each.value) for each in constants}
    return found


def test_of_every_event_it_was_decided_whether_a_person_should_see_it() -> None:
    undecided = written_in_code() - LOUD - PLAIN - QUIET
    assert not undecided, f"add to LOUD, PLAIN or QUIET in controlplane/core/log_levels.py: {sorted(undecided)}"
    assert not LOUD & PLAIN and not (LOUD | PLAIN) & QUIET


@pytest.mark.parametrize("kind", sorted(LOUD | PLAIN))
def test_a_line_names_what_it_is_about_and_is_one_line(kind: str) -> None:
    line = line_of(Event(1.0, kind, "mig_1", detail="first\nsecond"), {"mig_1": "orders"}.__getitem__)
    assert line is not None
    assert line == (f"{kind} orders: first second", kind in LOUD)


def test_an_event_that_says_nothing_more_is_a_line_all_the_same() -> None:
    line = line_of(Event(1.0, "MigrationSucceeded", "mig_1"), lambda subject: subject)
    assert line == ("MigrationSucceeded mig_1", False)


@pytest.mark.parametrize("kind", sorted(QUIET))
def test_what_nobody_need_see_is_no_line(kind: str) -> None:
    assert line_of(Event(1.0, kind, "step_1", detail="x"), lambda subject: subject) is None
