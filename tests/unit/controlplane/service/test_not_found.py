"""A name that nothing has is answered with the name that was meant, and with the command that lists what there is."""

from collections.abc import Awaitable, Callable

import pytest

from controlplane.service.errors import NotFound
from controlplane.service.inventory.inventory import Inventory
from controlplane.service.migrations.selection import find
from controlplane.service.not_found import no_manifest
from controlplane.service.rollouts.hosts import find_agent
from controlplane.service.rollouts.rollouts import find as find_rollout
from controlplane.store.verbs.inventory import Resource
from tests.kit.builders import NOW, a_plan
from tests.unit.controlplane.service.room import Room, in_room

Ask = Callable[[Room], Awaitable[object]]


async def missing_manifest(room: Room) -> None:
    raise await room.store.read(lambda tx: no_manifest(tx, "Dataset", "flihgts"))


async def missing_kind(room: Room) -> None:
    Inventory(room.store, room.clock, room.sessions).require_kind("Datset")


ASKED: dict[str, tuple[Ask, str]] = {
    "a started migration": (
        lambda room: room.store.read(lambda tx: find(tx, "crw-to-lake")),
        "there is no migration crw-to-lake: did you mean crew-to-lake? See `haulier migration list`",
    ),
    "an applied migration": (
        lambda room: room.migrations.start(["plans-to-lake"], "r1"),
        "there is no Migration plans-to-lake: did you mean planes-to-lake? See `haulier migration list --applied`",
    ),
    "an agent": (
        lambda room: room.store.read(lambda tx: find_agent(tx, "brvo")),
        "there is no agent brvo: did you mean bravo? See `haulier agent list`",
    ),
    "a rollout": (
        lambda room: room.store.read(lambda tx: find_rollout(tx, "edeg")),
        "there is no rollout edeg: did you mean edge? See `haulier rollout list`",
    ),
    "a manifest": (missing_manifest, "there is no Dataset flihgts: did you mean flights? See `haulier dataset list`"),
    "a kind": (missing_kind, 'there is no kind "Datset": did you mean "Dataset"?'),
}


@pytest.mark.parametrize("what", ASKED)
def test_a_near_miss_is_named(what: str) -> None:
    ask, said = ASKED[what]

    async def body(room: Room) -> None:
        await room.connect("bravo")
        await room.start(a_plan(), name="crew-to-lake")
        names = (("Migration", "planes-to-lake"), ("Fleet", "edge"), ("Dataset", "flights"))
        rows = [Resource(kind, name, 1, "digest", "{}", "{}", NOW) for kind, name in names]
        await room.store.write(lambda tx: tx.put_resources(rows))
        with pytest.raises(NotFound) as caught:
            await ask(room)
        assert str(caught.value) == said

    in_room(body)
