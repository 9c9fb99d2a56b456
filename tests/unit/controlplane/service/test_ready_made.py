"""`copy` and `copy-transformed` are there without being applied; an applied Workflow of the name wins, with a note."""

import pytest

from controlplane.manifests.ready_made import workflows
from tests.unit.controlplane.service.moving import COPY, Moving, dataset, migration, stores
from tests.unit.controlplane.service.room import Room, in_room

STEPS = {"copy": ["extract", "load", "validate"], "copy-transformed": ["extract", "transform", "load", "validate"]}


def steps_of(it: Moving) -> list[str]:
    return sorted(it.room.steps_of(it.newest().id))


@pytest.mark.parametrize("name", workflows())
def test_a_workflow_that_nobody_applied_runs(name: str) -> None:
    async def body(room: Room) -> None:
        it = Moving(room, await room.connect())
        more = {"transform": '"SELECT id, price FROM input"'} if name == "copy-transformed" else {}
        of = migration(**more).replace("workflow: copy", f"workflow: {name}")
        applied = await it.apply(stores().replace(COPY, "").rstrip("-\n") + "\n", dataset(), of)
        assert not applied.findings and not applied.warnings
        await it.start("move")
        assert steps_of(it) == sorted(STEPS[name])

    in_room(body)


def test_an_applied_one_wins_and_says_so() -> None:
    async def body(room: Room) -> None:
        it = Moving(room, await room.connect())
        mine = COPY[: COPY.index("    - name: load")]
        applied = await it.apply(stores().replace(COPY, mine), dataset(), migration())
        assert not applied.findings
        (note,) = applied.warnings
        assert (note.field, "comes with Haulier; this one is used" in note.message) == ("metadata.name", True)
        await it.start("move")
        assert steps_of(it) == ["extract"]

    in_room(body)
