"""A program of the host's as a step of a migration: named in a manifest, run, its output used, and undone."""

import copy
import hashlib
from typing import Any

import pytest

from tests.system.scene import Document, Scene, migration, workflow

NAME = "with-program"
REFUSED = "with-refused-program"


@pytest.fixture(scope="module")
def ran(scene: Scene) -> Scene:
    """A migration whose load is followed by a program, and that by another which is told what the first one said."""
    tools = scene.world.root / "tools"
    tools.mkdir()
    tool = tools / "note"
    tool.write_text(f'#!/bin/sh\nprintf "%s %s\\n" "$1" "$2" >>"{tools}/notes"\nprintf "%s" "$2-noted"\n')
    digest = hashlib.sha256(tool.read_bytes()).hexdigest()
    program = (
        f'path = "{tool}"\nsha256 = "{digest}"\nsafe_to_repeat = "a second line harms nobody"\nwrites = ["{tools}"]\n'
    )
    values = 'what = {type = "text", pattern = "[a-z0-9_.-]+"}\n'
    policy = scene.world.policy_text() + (
        f'[programs.note]\n{program}arguments = ["did", "{{what}}"]\nundo = "unnote"\n[programs.note.values]\n{values}'
        f'[programs.unnote]\n{program}arguments = ["undid", "{{what}}"]\nundo = ""\n[programs.unnote.values]\n{values}'
    )
    scene.add_agent("tooled", {"tools": "yes"}, policy=policy)
    scene.await_agents()
    place = scene.place("csv", NAME)
    flow = workflow("programmed", labels={"zone": "a"}, rest={"zone": "a"})
    placed = {"kind": "run_program", "placement": {"labels": {"tools": "yes"}}}
    flow["spec"]["steps"] += [
        {
            "name": "note",
            "needs": ["load"],
            "params": {"program": "note", "values": {"what": "${migration.destination.object}"}},
        }
        | placed,
        {
            "name": "again",
            "needs": ["note"],
            "params": {"program": "note", "values": {"what": "${steps.note.output}"}},
        }
        | placed,
        {"name": "refused", "needs": ["again"], "params": {"program": "note", "values": {"what": "A B"}}} | placed,
    ]
    refused = _document_with(flow, "refused-program", flow["spec"]["steps"][-1:])
    flow["spec"]["steps"].pop()
    refused["spec"]["steps"][0]["needs"] = []
    other = scene.place("csv", REFUSED)
    scene.apply(
        scene.datastore_of(place),
        scene.datastore_of(other),
        flow,
        refused,
        migration(NAME, place, workflow="programmed"),
        migration(REFUSED, other, workflow="refused-program"),
    )
    scene.start(NAME, REFUSED)
    scene.require_end([NAME], "MigrationSucceeded", 90.0)
    scene.require_end([REFUSED], "MigrationFailed", 90.0)
    return scene


def _document_with(flow: Document, name: str, steps: list[dict[str, Any]]) -> Document:
    return flow | {"metadata": {"name": name}, "spec": {"steps": copy.deepcopy(steps)}}


def notes(scene: Scene) -> list[str]:
    return (scene.world.root / "tools" / "notes").read_text().splitlines()


def test_a_program_is_told_what_the_manifest_says_and_tells_the_next_step(ran: Scene) -> None:
    states = {name: ran.step(NAME, name)["state"].lower() for name in ("load", "note", "again")}
    assert all("succeeded" in state for state in states.values()), states
    said = ran.place("csv", NAME).object
    assert notes(ran)[:2] == [f"did {said}", f"did {said}-noted"]


def test_a_value_that_the_host_does_not_allow_fails_at_once(ran: Scene) -> None:
    (attempt,) = ran.step(REFUSED, "refused")["attempts"]
    assert attempt["failure"]["code"] == "policy_refused"
    assert "does not fit the pattern" in attempt["failure"]["message"]


def test_its_undo_runs_on_the_way_back_with_the_same_values(ran: Scene) -> None:
    answer = ran.haulier("rollback", NAME, "--reason", "second thoughts", "--wait")
    assert answer.code == 0, answer
    said = ran.place("csv", NAME).object
    assert notes(ran)[2:] == [f"undid {said}-noted", f"undid {said}"]
