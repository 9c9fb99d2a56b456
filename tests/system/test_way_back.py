"""The way back: a rollback restores what was there bit for bit, and a cancel in the middle of a load leaves it."""

from collections.abc import Iterator

import pytest

from tests.kit.processes import until
from tests.system.contents import ENGINES, Place, fingerprint, put_before, rows_at
from tests.system.scene import Scene, migration

KINDS = ("replaced", "fresh", "cancelled")


@pytest.fixture(scope="module")
def places(scene: Scene) -> Iterator[dict[str, Place]]:
    """Places by "KIND-ENGINE"; all but the fresh ones hold somebody else's content; everything was started."""
    found = {f"{kind}-{engine}": scene.place(engine, f"{kind}-{engine}") for engine in ENGINES for kind in KINDS}
    for name, place in found.items():
        if not name.startswith("fresh"):
            put_before(place)
    stores = {place.datastore: place for place in found.values()}
    flows = {"replaced": "copy", "fresh": "copy", "cancelled": "held"}
    scene.apply(
        *(scene.datastore_of(place) for place in stores.values()),
        *(
            migration(name, place, workflow=flows[name.partition("-")[0]], replace=not name.startswith("fresh"))
            for name, place in found.items()
        ),
    )
    yield found


@pytest.fixture(scope="module")
def before(places: dict[str, Place]) -> dict[str, str | None]:
    """What was at the places before anything was moved."""
    return {name: fingerprint(place) for name, place in places.items()}


@pytest.fixture(scope="module")
def moved(scene: Scene, places: dict[str, Place], before: dict[str, str | None]) -> None:
    """Everything but what is to be cancelled has been moved and proven."""
    assert before.keys() == places.keys()
    names = [name for name in places if not name.startswith("cancelled")]
    scene.start(*names)
    scene.require_end(names, "MigrationSucceeded", 90.0)


@pytest.mark.usefixtures("moved")
@pytest.mark.parametrize("engine", ENGINES)
def test_a_rollback_restores_what_was_there(
    scene: Scene, places: dict[str, Place], before: dict[str, str | None], engine: str
) -> None:
    for name in (f"replaced-{engine}", f"fresh-{engine}"):
        place = places[name]
        assert rows_at(place) == scene.expected
        assert fingerprint(place) != before[name]
        answer = scene.haulier("rollback", name, "--reason", "second thoughts", "--wait")
        assert answer.code == 0, answer
        assert fingerprint(place) == before[name]
        assert (before[name] is None) == name.startswith("fresh")


def test_a_cancel_in_the_middle_of_a_load_leaves_what_was_there(
    scene: Scene, places: dict[str, Place], before: dict[str, str | None]
) -> None:
    names = [name for name in places if name.startswith("cancelled")]
    scene.start(*names)
    until(lambda: len(scene.held("holder")) == len(names), 90.0, "every load to stand before its publish")
    for name in names:
        assert scene.haulier("migration", "cancel", name, "--reason", "not wanted").code == 0
    scene.require_end(names, "MigrationCancelled", 90.0)
    assert {name: fingerprint(places[name]) for name in names} == {name: before[name] for name in names}
    # The process that stood there has been ended, not forgotten.
    until(lambda: not scene.attempts("holder"), 30.0, "the cancelled attempts to be put away")
