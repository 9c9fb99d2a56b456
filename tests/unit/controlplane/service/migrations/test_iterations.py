"""The same name again: next iterations, free destinations, deletions; and the ways out of failed and stuck."""

import pytest

from controlplane.core.migrations.deciding import ABANDON, ACCEPT
from controlplane.core.model import Failure
from controlplane.service.errors import NotFound, Precondition
from controlplane.service.inventory.inventory import Change
from tests.kit.running import run
from tests.unit.controlplane.service.moving import FINAL, WRONG, Moving, dataset, document, migration, moving
from tests.unit.controlplane.service.room import Room, in_room

CANCEL, ROLLBACK = "MigrationCancelAsked", "MigrationRollbackAsked"
LOST = Failure("unreachable", "no route", retryable=False)


def test_a_name_that_ended_runs_again_and_the_evidence_of_before_stays() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.succeed()
        first = it.newest()
        await it.undo()
        started = await it.start("move")
        assert started.migration_ids == [it.newest().id] and not started.already
        assert (it.newest().iteration, it.state(), first.id != it.newest().id) == (2, "running", True)
        detail = await room.queries.migration("move", 1)
        assert (detail.summary.state, len(detail.results)) == ("rolled_back", 3)
        assert [row.iteration for row in detail.iterations] == [1, 2]
        assert [row.iteration for row in await room.queries.migrations([], "", 9)] == [2]
        assert len(await room.queries.migrations([], "", 9, every_iteration=True)) == 2
        assert (await room.queries.counts()).migrations == {"running": 1}
        with pytest.raises(NotFound, match="no iteration 7: its iterations are 1 to 2"):
            await room.queries.migration("move", 7)

    in_room(body)


def test_starting_what_is_under_way_changes_nothing_and_what_waits_for_a_person_says_what_to_do() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        assert (await it.start("move")).already == ["move"]
        await it.finish(FINAL)
        with pytest.raises(Precondition, match="move is failed: `haulier migration retry move`"):
            await it.start("move")
        assert (await it.start()).migration_ids == []

    in_room(body)


def test_an_edited_migration_says_when_it_takes_effect() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        applied = await it.apply(migration(priority="7"))
        note = applied.notes["Migration", "move"]
        assert (
            note == "iteration 1 is running and keeps what it was started with; this is the definition of iteration 2"
        )
        await it.undo(ask=CANCEL)
        applied = await it.apply(migration(priority="8"))
        assert applied.notes["Migration", "move"].endswith("of iteration 2: `haulier migration start move`")
        await it.start("move")
        assert it.newest().priority == 8

    in_room(body)


def test_a_destination_is_free_after_cancel_and_rollback_and_taken_again_by_a_restart() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        other = (dataset("planes"), migration("other", "planes"))
        assert 'takes the dataset "flights" to the same place' in (await it.apply(*other)).findings[0].message
        await it.undo(ask=CANCEL)
        assert not (await it.apply(*other)).findings
        await it.succeed("other")
        with pytest.raises(Precondition, match=r"other \(succeeded\) has taken the dataset planes to the same place"):
            await it.start("move")
        await it.undo("other")
        await it.start("move")
        with pytest.raises(Precondition, match=r"the migration move \(iteration 2\) \(running\)|move \(running\)"):
            await it.start("other")

    in_room(body)


def test_a_destination_under_another_name_is_not_taken_twice() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        await it.undo(ask=CANCEL)
        alias = document("Datastore", "depot", "{engine: duckdb, path: /srv/warehouse.db}")
        other = migration("other", "planes").replace("datastore: warehouse", "datastore: depot")
        assert not (await it.apply(alias, dataset("planes"), other)).findings
        await it.succeed("other")
        with pytest.raises(Precondition, match='the migration "other" takes the dataset "planes" to the same place'):
            await it.start("move")

    in_room(body)


def test_the_second_migration_to_one_place_waits_and_is_told_for_whom() -> None:
    async def body(room: Room) -> None:
        it = await moving(room, dataset(), migration(), migration("second"))
        started = await it.start()
        assert len(started.migration_ids) == 1
        assert list(started.held) == ["second"] and "move (running) is on its way" in started.held["second"]
        await it.finish(FINAL)
        await it.start("second")
        with pytest.raises(Precondition, match=r"second \(running\) is on its way to the same place"):
            await it.retry("move")
        with pytest.raises(Precondition, match=r"second \(running\) is on its way to the same place"):
            await room.migrations.undo("move", CANCEL, "no")
        applied = await it.apply(dataset(), migration("third", start="auto"))
        assert applied.notes["Migration", "third"].startswith("not started yet: third: the migration second (running)")

    in_room(body)


@pytest.mark.parametrize(("event", "state"), [(ACCEPT, "accepted"), (ABANDON, "abandoned")])
def test_a_person_ends_a_failed_one_and_the_name_is_free(event: str, state: str) -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        with pytest.raises(Precondition, match="move: the migration is running: only a failed or stuck one"):
            await room.migrations.decide("move", event, "no")
        await it.finish(FINAL)
        ended = await room.migrations.decide("move", event, "seen by hand", "ada")
        assert await room.migrations.decide("move", event, "again", "ada") == ended
        assert (it.state(), it.newest().reason) == (state, "seen by hand (by ada)")
        assert (await room.queries.counts()).migrations == {state: 1}
        await it.start("move")
        assert it.newest().iteration == 2

    in_room(body)


async def stuck(room: Room) -> Moving:
    """A migration whose proof failed and whose former content could not be put back."""
    it = await moving(room)
    await it.start("move")
    await it.finish()
    await it.finish()
    await it.finish(WRONG)
    assert it.state() == "restoring"
    await it.finish(Failure("not_ours", "somebody wrote there", retryable=False))
    assert it.state() == "stuck"
    return it


def test_a_stuck_one_can_be_retried_accepted_or_abandoned_and_says_so() -> None:
    async def body(room: Room) -> None:
        await stuck(room)
        with pytest.raises(Precondition, match="migration accept move --reason TEXT` or `abandon` end it as it is"):
            await room.migrations.undo("move", CANCEL, "no")
        with pytest.raises(Precondition, match="move is stuck: `haulier migration retry move` undoes it again"):
            await room.migrations.start(["move"], "r9")
        await room.migrations.decide("move", ACCEPT, "it is right")
        assert room.events(room.store.see(lambda tx: tx.migration_by_name("move")).id)[-1] == "MigrationAccepted"  # type: ignore[union-attr]

    in_room(body)


async def published_and_failed(room: Room, *others: str) -> Moving:
    """A migration that has published, and whose proof could not be made."""
    it = await moving(room, dataset(), migration(), *others)
    await it.start("move")
    await it.finish()
    await it.finish()
    await it.finish(LOST)
    assert it.state() == "failed"
    return it


def test_a_failed_one_over_which_another_published_is_superseded_by_name() -> None:
    async def body(room: Room) -> None:
        it = await published_and_failed(room, migration("second"))
        await it.succeed("second")
        assert (it.state(), it.newest().reason) == ("superseded", "superseded by second")
        with pytest.raises(Precondition, match="move: the migration second has published over it: roll that back"):
            await room.migrations.undo("move", ROLLBACK, "no")
        await it.undo("second")
        await it.undo("move")
        assert it.state() == "rolled_back"

    in_room(body)


@pytest.mark.parametrize("ask", [CANCEL, ROLLBACK, "retry"])
def test_one_that_was_published_over_before_ends_at_the_latest_when_somebody_asks(ask: str) -> None:
    async def body(room: Room) -> None:
        it = await published_and_failed(room, migration("second"))
        first = it.newest()
        await it.succeed("second")
        # As a store of before has it: nobody noticed.
        room.store.batcher.connection.execute("UPDATE migration SET state = 'failed' WHERE id = ?", (first.id,))
        await (room.migrations.retry("move") if ask == "retry" else room.migrations.undo("move", ask, "no"))
        assert it.newest().reason == "superseded by second"

    # The doctor would see that the row was changed behind the log's back.
    run(body(Room()))


def test_messages_of_agents_name_migrations_and_not_their_ids() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.succeed()
        await it.start("move")
        await it.finish()
        over = f"migration {it.newest().id} has published over this one, and mig_ffff too"
        await it.finish(Failure("published_over", over, retryable=False))
        told = "superseded: step load: migration move (iteration 2) has published over this one, and mig_ffff too"
        assert it.newest().reason == told

    in_room(body)


def test_a_manifest_is_deleted_only_when_nothing_needs_it() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        needs = {
            ("Dataset", "flights"): "Migration move needs it: delete that first, e.g. `haulier delete migration move`",
            ("Workflow", "copy"): "Migration move needs it",
            ("Datastore", "exports"): "Dataset flights needs it",
            ("Datastore", "staging"): "Migration move needs it",
        }
        for (kind, name), why in needs.items():
            with pytest.raises(Precondition, match=why):
                await it.inventory.delete(kind, name)
        await it.start("move")
        with pytest.raises(Precondition, match="the migration move is running and needs it"):
            await it.inventory.delete("Migration", "move")
        await it.finish(FINAL)
        await room.migrations.decide("move", ABANDON, "no")
        for kind, name in (
            ("Migration", "move"),
            ("Dataset", "flights"),
            ("Workflow", "copy"),
            ("Datastore", "exports"),
        ):
            assert (await it.inventory.delete(kind, name, "ada")).name == name
        assert room.events("Dataset/flights") == ["ManifestApplied", "ManifestDeleted"]
        assert (await room.queries.migration("move")).summary.state == "abandoned"
        with pytest.raises(NotFound, match="there is no Migration manifest move any more: it was deleted"):
            await it.start("move")
        with pytest.raises(NotFound, match="there is no Dataset flights"):
            await it.inventory.delete("Dataset", "flights")

    in_room(body)


def test_a_deleted_manifest_comes_back_as_a_later_generation() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.inventory.delete("Migration", "move")
        assert ("Migration", "move", Change.CREATED) in (await it.apply(migration())).outcomes
        found = await it.inventory.get("Migration", "move")
        assert found is not None and found.generation == 2

    in_room(body)


def test_what_an_open_migration_was_started_with_is_kept_although_its_manifest_names_others_by_now() -> None:
    async def body(room: Room) -> None:
        it = await moving(room)
        await it.start("move")
        await it.apply(dataset("planes"), migration(of="planes", to="planes"))
        with pytest.raises(Precondition, match="the migration move is running and needs it"):
            await it.inventory.delete("Dataset", "flights")

    in_room(body)


AIR = "{team: air}"


def test_a_prune_deletes_what_carries_its_label_and_is_not_among_the_files() -> None:
    async def body(room: Room) -> None:
        it = await moving(
            room, dataset(), migration(labels=AIR), migration("old", to="old", labels=AIR), migration("theirs", to="t")
        )
        scope = {"team": "air"}
        found = await it.inventory.validate([], scope)
        assert [name for _, name, what in found.outcomes if what is Change.DELETED] == ["move", "old"]
        applied = await it.apply(migration(labels=AIR), prune=scope)
        assert ("Migration", "old", Change.DELETED) in applied.outcomes
        left = [row.name for row in await it.inventory.page("Migration", "", 9)]
        assert left == ["move", "theirs"]

    in_room(body)


def test_a_prune_refuses_files_outside_its_scope_and_what_is_under_way_and_keeps_nothing() -> None:
    async def body(room: Room) -> None:
        it = await moving(room, dataset(), migration(labels=AIR), migration("old", to="old", labels=AIR))
        await it.start("old")
        (outside,) = (await it.apply(migration("new", to="new"), prune={"team": "air"})).findings[:1]
        assert (outside.field, "does not carry it" in outside.message) == ("metadata.labels", True)
        refused = await it.apply(migration(labels=AIR, priority="3"), prune={"team": "air"})
        assert "the migration old is running and needs it" in refused.findings[0].message
        found = await it.inventory.get("Migration", "move")
        assert found is not None and found.generation == 1

    in_room(body)
