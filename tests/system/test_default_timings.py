"""Two hundred steps at once, at the timings that people have: nobody has anything to say of it.

An agent tells of each child that it starts, far more often than its heartbeat comes: what those words leave out must
not be taken for news.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.processes import program
from tests.kit.world import Timing
from tests.system.contents import NULL_TEXT, Place, write_source
from tests.system.scene import COLUMNS, Scene, dataset, datastore, migration, workflow

STEPS = 200
AGENTS = ("east", "west")
SLOTS = 8  # at once on each; a hundred processes on two cores would measure the machine
ENDED_S_MAX = 400.0

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def scene() -> Iterator[Scene]:
    """A Haulier with nothing but default timings, and files that take no time to read."""
    with tempfile.TemporaryDirectory(prefix="haulier-default-timings-") as root:
        found = Scene(Path(root), Timing())
        try:
            yield found
        finally:
            found.close()


def test_two_hundred_steps_at_once_alarm_nobody(scene: Scene) -> None:
    world, names = scene.world, [f"small-{number:03d}" for number in range(STEPS)]
    source, staging = world.data / "source", world.data / "staging"
    staging.mkdir(parents=True)
    for name in names:
        write_source(source / f"{name}.csv", scene.expected[:5])
    world.start_controlplane()
    places = {name: Place("csv", "there", str(world.data / "there"), f"{name}.csv") for name in names}
    stage = workflow("stage")
    stage["spec"]["steps"] = stage["spec"]["steps"][:1]
    scene.apply(
        datastore("source", engine="csv", root=str(source), nullText=NULL_TEXT),
        datastore("there", engine="csv", root=str(world.data / "there"), nullText=NULL_TEXT),
        datastore("staging", engine="parquet", root=str(staging)),
        stage,
        *(dataset(name, datastore="source", object=f"{name}.csv", key=["id"], columns=COLUMNS) for name in names),
        *(migration(name, place, dataset=name, workflow="stage") for name, place in places.items()),
    )
    for name in AGENTS:
        scene.add_agent(name, slots=SLOTS)
    scene.await_agents()
    scene.start(*names)
    scene.require_end(names, "MigrationSucceeded", ENDED_S_MAX)
    for name in AGENTS:
        state = str(world.root / "agents" / name / "state")
        audit = json.loads(world.run([*program("agentd"), "status", "--state", state, "-o", "json"]))["audit"]
        assert audit["witnessed"] and not audit["trouble"], f"{name}: {audit}"
    assert "intact" in world.haulier("audit", "verify")
    world.require_quiet()
