"""The event log as people ask for it."""

from typing import Any

import pytest

from controlplane.core.events import Event
from controlplane.core.model import Failure, Outcome
from controlplane.core.states import AttemptState
from controlplane.service.errors import NotFound
from controlplane.service.events.reading import AT_ONCE, Wanted
from controlplane.store.verbs.inventory import Resource
from tests.kit.builders import NOW, a_plan
from tests.unit.controlplane.service.room import Host, Room, in_room


async def ended(room: Room) -> tuple[str, str, Host]:
    """A migration whose only step has failed, by an agent: (migration id, attempt id, agent)."""
    host = await room.connect("alpha")
    migration_id = await room.start(a_plan(attempts_max=1), name="crew")
    (lease,) = host.grants
    failure = Failure("broken", "no such column", retryable=False)
    assert host.session is not None
    end = Outcome(lease.attempt.id, lease.attempt.fence, AttemptState.FAILED, failure=failure)
    await room.sessions.offers.results(host.session, [end])
    await room.settled()
    return migration_id, lease.attempt.id, host


async def asked(room: Room, subject: str = "", **more: Any) -> Wanted:
    given: dict[str, Any] = {"types": (), "since_ago_s": 0.0, "since_at": 0.0, "hints": True, **more}
    return await room.queries.event_reading().wanted(subject, **given)


async def types(room: Room, wanted: Wanted) -> list[str]:
    log = room.queries.event_reading()
    rows, _, _ = await log.after(await log.begin(wanted, 0), wanted)
    return [fact.type for _, fact in rows]


def test_every_name_and_id_is_a_subject() -> None:
    async def body(room: Room) -> None:
        migration_id, attempt_id, host = await ended(room)
        rows = [Resource(kind, "flights", 1, "d", "{}", "{}", NOW) for kind in ("Dataset", "Datastore")]
        await room.store.write(lambda tx: tx.put_resources([*rows, rows[0]._replace(name="planes")]))
        step_id = (await room.queries.migration("crew")).steps[0].id
        for named, meant in (
            ("crew", migration_id),
            ("crew/load", step_id),
            ("alpha", host.id),
            (host.id, host.id),
            ("planes", "Dataset/planes"),
            ("Dataset/flights", "Dataset/flights"),
            ("roll_7", "roll_7"),
            ("", ""),
        ):
            assert (await asked(room, named)).subject == meant, named
        assert await asked(room, attempt_id) == Wanted(step_id, attempt_id)
        for named, said in (
            ("flights", "flights is Datastore and Dataset: say which"),
            ("crw", "there is no subject crw: did you mean crew?"),
            ("crew/lod", "migration crew has no step lod; it has load"),
            ("att_9", "there is no attempt att_9"),
        ):
            with pytest.raises(NotFound, match=said):
                await asked(room, named)
        # Whoever sees the data of some owners learns nothing of other names.
        with pytest.raises(NotFound) as caught:
            await asked(room, "crw", hints=False)
        assert "crew" not in str(caught.value)

    in_room(body)


def test_types_and_times_narrow_it_down() -> None:
    async def body(room: Room) -> None:
        migration_id, attempt_id, _ = await ended(room)
        everything = await types(room, await asked(room, migration_id))
        assert everything[0] == "MigrationStarted" and "StepFailed" in everything
        assert await types(room, await asked(room, "crew", types=["StepFailed"])) == ["StepFailed"]
        of_attempt = await types(room, await asked(room, attempt_id))
        assert "AttemptFailed" in of_attempt and "StepFailed" not in of_attempt
        room.now += 100.0
        await room.store.write(lambda tx: tx.record([Event(room.now, "StepReadied", "step_9")]))
        assert await types(room, await asked(room, since_ago_s=50.0)) == ["StepReadied"]
        assert await types(room, await asked(room, since_at=room.now)) == ["StepReadied"]
        assert await types(room, await asked(room, since_at=room.now + 1.0)) == []
        with pytest.raises(NotFound, match="no event has the type StepFaild: did you mean StepFailed"):
            await asked(room, types=["StepFaild"])
        assert await types(room, await asked(room, types=["NothingLikeIt"])) == []

    in_room(body)


def test_the_newest_come_in_order_however_far_back_they_are() -> None:
    async def body(room: Room) -> None:
        migration_id, _, _ = await ended(room)
        noise = [Event(NOW, "AgentConnected", "ag_9", agent_id="ag_9") for _ in range(AT_ONCE + 7)]
        await room.store.write(lambda tx: tx.record(noise))
        log = room.queries.event_reading()
        newest = await log.newest(Wanted(types=frozenset({"StepFailed", "MigrationStarted"})), 5)
        assert [fact.type for _, fact in newest] == ["MigrationStarted", "StepFailed"]
        (last,) = await log.newest(Wanted(migration_id), 1)
        assert last[1].type == "MigrationFailed"
        assert len(await log.newest(Wanted(), 3)) == 3

    in_room(body)


def test_ids_are_told_with_their_names() -> None:
    async def body(room: Room) -> None:
        migration_id, attempt_id, host = await ended(room)
        log = room.queries.event_reading()
        rows, _, more = await log.after(0, Wanted(migration_id, types=frozenset({"AttemptFailed"})))
        names = await log.names(rows)
        ((position, fact),) = rows
        assert not more
        assert names[position] == {
            fact.subject: "crew/load",
            migration_id: "crew",
            attempt_id: "crew/load#1",
            host.id: "alpha",
        }

    in_room(body)
