"""Applying manifests beside others who apply: judged outside the transaction, decided by what is true inside it."""

from collections.abc import Callable

from controlplane.manifests.text.findings import SourceFile
from controlplane.service.inventory.inventory import Change, Inventory
from controlplane.store.port import Tx
from controlplane.store.verbs.inventory import Resource
from tests.kit.builders import NOW
from tests.unit.controlplane.service.room import Room, in_room

STORE = b"apiVersion: haulier/v1\nkind: Datastore\nmetadata: {name: lake}\nspec: {engine: parquet, root: /srv/lake}\n"
LIMITED = STORE.replace(b"/srv/lake}", b"/srv/lake, concurrencyMax: 2}")
DATASET = (
    b"apiVersion: haulier/v1\nkind: Dataset\nmetadata: {name: flights}\n"
    b"spec: {owner: air, datastore: lake, object: flights}\n"
)


def inventory(room: Room) -> Inventory:
    return Inventory(room.store, room.clock, room.sessions)


def files(*contents: bytes) -> list[SourceFile]:
    return [SourceFile(f"{number}.yaml", content) for number, content in enumerate(contents)]


def meanwhile(room: Room, change: Callable[[Tx], None]) -> None:
    """Let ``change`` be committed after the next look at what is applied, and before the next write."""
    read = room.store.read

    async def read_then_change(call: Callable[[Tx], object]) -> object:
        found = await read(call)
        room.store.read = read  # type: ignore[method-assign]
        await room.store.write(change)
        return found

    room.store.read = read_then_change  # type: ignore[method-assign, assignment]


def test_what_is_applied_is_kept_with_its_event_and_its_limit() -> None:
    async def body(room: Room) -> None:
        applied = await inventory(room).apply(files(LIMITED, DATASET), "r1", by="ada")
        assert applied.outcomes == (("Datastore", "lake", Change.CREATED), ("Dataset", "flights", Change.CREATED))
        assert room.sessions.offers.limits.steps == {"lake": 2}
        applied = await inventory(room).apply(files(STORE, DATASET), "r2")
        assert [what for _, _, what in applied.outcomes] == [Change.UPDATED, Change.UNCHANGED]
        assert room.sessions.offers.limits.steps == {}
        assert room.events("Datastore/lake") == ["ManifestApplied", "ManifestApplied"]
        assert room.events("Dataset/flights") == ["ManifestApplied"]
        kept = await inventory(room).get("Datastore", "lake")
        assert kept is not None and kept.generation == 2

    in_room(body)


def test_what_another_applied_meanwhile_counts() -> None:
    async def body(room: Room) -> None:
        other = Room()
        await inventory(other).apply(files(STORE), "r1")
        (lake,) = other.store.see(lambda tx: tx.resources("Datastore", "", 9))
        meanwhile(room, lambda tx: tx.put_resources([lake]))
        # Seen from before, the datastore was missing; inside the transaction it is there.
        applied = await inventory(room).apply(files(DATASET), "r2")
        assert applied.outcomes == (("Dataset", "flights", Change.CREATED),)
        assert not applied.findings

    in_room(body)


def test_a_newer_generation_is_never_overwritten_by_an_older_number() -> None:
    async def body(room: Room) -> None:
        await inventory(room).apply(files(STORE), "r1")
        (lake,) = room.store.see(lambda tx: tx.resources("Datastore", "", 9))
        other = lake._replace(generation=2, digest="another", applied_at=NOW)
        meanwhile(room, lambda tx: tx.put_resources([Resource(*other)]))
        applied = await inventory(room).apply(files(LIMITED), "r2")
        assert applied.outcomes == (("Datastore", "lake", Change.UPDATED),)
        kept = await inventory(room).get("Datastore", "lake")
        assert kept is not None and kept.generation == 3

    in_room(body)


def test_findings_keep_everything_out() -> None:
    async def body(room: Room) -> None:
        applied = await inventory(room).apply(files(STORE, b"kind: Nothing\n"), "r1")
        assert applied.findings and not applied.outcomes
        applied = await inventory(room).apply(files(DATASET), "r1")
        assert [finding.field for finding in applied.findings] == ["spec.datastore"]
        assert room.events() == []

    in_room(body)


def test_a_validation_tells_field_by_field_what_would_change() -> None:
    async def body(room: Room) -> None:
        await inventory(room).apply(files(LIMITED, DATASET), "r1")
        moved = LIMITED.replace(b"/srv/lake", b"/srv/pond").replace(
            b"{name: lake}", b"{name: lake, labels: {tier: gold}}"
        )
        judged = await inventory(room).validate(files(moved, DATASET))
        assert {key: list(map(tuple, fields)) for key, fields in judged.fields.items()} == {
            ("Datastore", "lake"): [
                ("metadata.labels.tier", "", '"gold"'),
                ("spec.root", '"/srv/lake"', '"/srv/pond"'),
            ]
        }
        kept = await inventory(room).get("Datastore", "lake")
        assert kept is not None and kept.generation == 1

    in_room(body)
