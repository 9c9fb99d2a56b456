"""A person's consent to lose what others changed at a destination: who may give it, when, and whom it reaches."""

import pytest

from controlplane.core.model import Failure
from controlplane.core.states import AttemptState
from controlplane.service.errors import Precondition
from tests.kit.builders import a_plan
from tests.unit.controlplane.service.room import Host, Room, in_room
from tests.unit.controlplane.service.steps.test_settling import outcome, report

ROLLBACK = "MigrationRollbackAsked"


def changed(migration_id: str) -> Failure:
    """What an agent says of a destination that somebody changed."""
    return Failure(
        "not_as_published",
        f"'things': what is there is not what this migration published ({migration_id})",
        f"give up what is there now with `haulier migration rollback {migration_id} --discard-changes`",
        retryable=False,
    )


async def stuck(room: Room) -> tuple[Host, str]:
    """A migration whose undo stopped at its destination."""
    host = await room.connect()
    migration = await room.start(a_plan())
    await report(room, host, outcome(host.grants[0], result=b"rows"))
    await room.migrations.undo("m1", ROLLBACK, "wrong")
    await room.settled()
    await report(room, host, outcome(host.grants[1], AttemptState.FAILED, failure=changed(migration)))
    assert room.state_of(migration) == "stuck"
    return host, migration


def test_consent_lets_a_stuck_undo_go_on_and_reaches_the_agent() -> None:
    async def body(room: Room) -> None:
        host, migration = await stuck(room)
        assert not host.grants[1].discard_changes
        with pytest.raises(Precondition, match="stuck"):
            await room.migrations.undo("m1", ROLLBACK, "once more", "ada")
        await room.migrations.undo("m1", ROLLBACK, "theirs is not needed", "ada", discard_changes=True)
        await room.settled()
        assert host.grants[2].discard_changes
        assert host.grants[2].forward_result == b"rows"
        await report(room, host, outcome(host.grants[2]))
        assert room.state_of(migration) == "rolled_back"
        assert room.events().count("DiscardAgreed") == 1

    in_room(body)


def test_consent_says_who_and_why_and_is_kept_once() -> None:
    async def body(room: Room) -> None:
        _, migration = await stuck(room)
        for _ in range(2):
            await room.migrations.undo("m1", ROLLBACK, "not needed", "ada", discard_changes=True)
        found = room.store.batcher.connection.execute(
            "SELECT subject, detail FROM event WHERE type = 'DiscardAgreed'"
        ).fetchall()
        assert found == [(migration, "not needed (by ada)")]

    in_room(body)


def test_consent_may_come_with_the_first_rollback_and_never_comes_by_itself() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        await room.start(a_plan())
        await report(room, host, outcome(host.grants[0]))
        assert not host.grants[0].discard_changes
        await room.migrations.undo("m1", ROLLBACK, "wrong", "ada", discard_changes=True)
        await room.settled()
        assert host.grants[1].discard_changes
        await report(room, host, outcome(host.grants[1]))
        # It has ended: there is nothing left to agree to.
        await room.migrations.undo("m1", ROLLBACK, "again", "ada", discard_changes=True)
        assert room.events().count("DiscardAgreed") == 1

    in_room(body)


def test_consent_to_a_refused_rollback_is_not_kept() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        migration = await room.start(a_plan(pivot=True))
        await report(room, host, outcome(host.grants[0]))
        with pytest.raises(Precondition, match="pivot"):
            await room.migrations.undo("m1", ROLLBACK, "wrong", "ada", discard_changes=True)
        assert not await room.store.read(lambda tx: tx.discards_changes(migration))
        assert "DiscardAgreed" not in room.events()

    in_room(body)
