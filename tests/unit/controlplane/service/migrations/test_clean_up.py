"""Cleaning up after migrations: in its time, at a person's word, without the way back, and out of the way of others."""

import pytest
from haulier.v1 import kinds_pb2 as k

from controlplane.core.migrations.clean_up import Kept, WayBack
from controlplane.core.model import Failure, Outcome, Requirements
from controlplane.core.states import AgentState, AttemptState
from controlplane.service.errors import NotFound, Precondition
from controlplane.service.migrations.clean_up import LOWEST_PRIORITY, CleanUps
from tests.kit.builders import a_plan
from tests.unit.controlplane.service.room import Host, Room, in_room

KINDS = frozenset({"extract", "load", "clean_up"})
STAGING = k.Datastore(name="staging", parquet=k.ParquetStore(root="/staging"))
THERE = k.DatasetLocation(dataset="d", datastore=k.Datastore(name="lite", sqlite=k.SqliteStore(path="/x")), object="t")
STAGED_S, FORMER_S = 100.0, 1000.0


def moved(*, kept: bool | None) -> bytes:
    """What `load` said; None: an agent of an earlier release, which does not say whether anything is kept."""
    result = k.LoadResult(rows=3, published_fence=1)
    if kept is not None:
        result.former_content_kept = kept
    return result.SerializeToString()


async def finish(room: Room, host: Host, result: bytes = b"", failure: Failure | None = None) -> None:
    """End the oldest attempt that the host has."""
    attempt = room.store.see(lambda tx: tx.live_of_agent(host.id))[0]
    state = AttemptState.FAILED if failure else AttemptState.SUCCEEDED
    assert host.session is not None
    await room.sessions.offers.results(host.session, [Outcome(attempt.id, attempt.fence, state, result, failure)])
    await room.settled()


async def succeeded(
    room: Room, *, kept: bool | None = True, terms: tuple[float | None, float | None] = (None, None)
) -> Host:
    """A migration m1 of extract and load that has succeeded."""
    host = await room.connect(kinds=KINDS)
    extract = a_plan(
        name="extract",
        kind="extract",
        target="staging/m1/extract",
        requirements=Requirements("extract", ("files", "staging"), (("zone", "a"),)),
        params=k.ExtractParams(staging=STAGING).SerializeToString(),
    )
    load = a_plan(
        name="load",
        needs=("extract",),
        target="lite/t",
        requirements=Requirements("load", ("lite", "staging")),
        params=k.LoadParams(destination=THERE).SerializeToString(),
    )
    await room.hello(host, kinds=KINDS, incarnation=2, labels={"zone": "a"})
    migration = await room.start(extract, load)
    await room.store.write(lambda tx: tx.put_kept(Kept(migration, *terms)))
    await finish(room, host, k.ExtractResult().SerializeToString())
    await finish(room, host, moved(kept=kept))
    assert room.state_of(migration) == "succeeded"
    return host


def clean_ups(room: Room, history_s: float = 1e9) -> CleanUps:
    return CleanUps(room.store, room.clock, room.sessions, STAGED_S, FORMER_S, history_s)


async def passes(room: Room, keeper: CleanUps, later_s: float) -> None:
    """One pass later, with every agent heard just before it."""
    room.now += later_s
    for session in room.sessions.by_agent.values():
        session.heard_at = room.now
    await keeper.plan_due()
    await room.settled()


def open_steps(room: Room) -> dict[str, str]:
    (migration,) = room.store.see(lambda tx: tx.migration_ids())
    return {name: state for name, state in room.steps_of(migration).items() if "." in name}


def test_parts_go_first_and_former_content_later() -> None:
    async def body(room: Room) -> None:
        host, keeper = await succeeded(room), clean_ups(room)
        await passes(room, keeper, STAGED_S - 1)
        assert open_steps(room) == {}
        await passes(room, keeper, 1)
        lease = host.grants[-1]
        assert k.CleanUpParams.FromString(lease.params).staged == k.StagedByStep(
            datastore=STAGING, step_id=room.store.see(lambda tx: tx.steps_of(lease.attempt.migration_id))[0].id
        )
        await finish(room, host, k.CleanUpResult(removed=1).SerializeToString())
        await passes(room, keeper, FORMER_S)
        assert k.CleanUpParams.FromString(host.grants[-1].params).former_content_at == THERE
        assert host.grants[-1].attempt.target == "lite/t"
        await finish(room, host)
        assert open_steps(room) == {"extract.clean-up": "succeeded", "load.clean-up": "succeeded"}
        assert room.state_of(host.grants[-1].attempt.migration_id) == "succeeded"
        before = len(host.grants)
        await passes(room, keeper, 1e6)
        assert len(host.grants) == before

    in_room(body)


def test_a_clean_up_comes_last_and_needs_only_the_place_that_it_cleans() -> None:
    async def body(room: Room) -> None:
        await succeeded(room)
        await passes(room, clean_ups(room), FORMER_S)
        (migration,) = room.store.see(lambda tx: tx.migration_ids())
        steps, classes = room.store.see(lambda tx: (tx.steps_of(migration), tx.classes()))
        of_parts, of_content = steps[2:]
        assert (of_parts.priority, of_content.priority, of_parts.ordinal) == (LOWEST_PRIORITY, LOWEST_PRIORITY, 2)
        assert classes[of_parts.placement_class] == Requirements("clean_up", ("staging",), (("zone", "a"),))
        assert classes[of_content.placement_class] == Requirements("clean_up", ("lite",))
        summary = room.store.see(lambda tx: tx.summary(migration))
        assert summary is not None
        assert (summary.steps_done, summary.steps_total, summary.current_step) == (2, 2, "")

    in_room(body)


@pytest.mark.parametrize(("kept", "way"), [(True, WayBack.REFUSED), (False, WayBack.REMOVES), (None, WayBack.REFUSED)])
def test_the_way_back_is_told_and_kept_to(kept: bool | None, way: WayBack) -> None:
    async def body(room: Room) -> None:
        host, keeper = await succeeded(room, kept=kept), clean_ups(room)
        (migration,) = room.store.see(lambda tx: tx.migration_ids())
        left = await keeper.left_by(migration)
        assert left is not None
        assert left.way_back is (WayBack.REMOVES if kept is False else WayBack.RESTORES)
        assert (left.former_until is None) == (kept is False)
        await passes(room, keeper, FORMER_S)
        while any(state in ("ready", "leased") for state in open_steps(room).values()):
            await finish(room, host, k.CleanUpResult().SerializeToString())
        assert await keeper.left_by(migration) == (None, None, way)
        if way is WayBack.REFUSED:
            with pytest.raises(Precondition, match="removed by its clean-up"):
                await room.migrations.undo("m1", "MigrationRollbackAsked", "why not")
            assert room.state_of(migration) == "succeeded"
        else:
            assert "load.clean-up" not in open_steps(room)
            await room.migrations.undo("m1", "MigrationRollbackAsked", "why not")
            await room.settled()
            await finish(room, host)
            await finish(room, host)
            assert room.state_of(migration) == "rolled_back"

    in_room(body)


def test_a_rollback_stops_a_clean_up_that_nobody_has_begun() -> None:
    async def body(room: Room) -> None:
        host, keeper = await succeeded(room), clean_ups(room)
        assert host.session is not None
        await room.sessions.set_state("host-1", AgentState.DRAINING, "x")
        await passes(room, keeper, FORMER_S)
        await room.migrations.undo("m1", "MigrationRollbackAsked", "why not")
        assert open_steps(room) == {"extract.clean-up": "cancelled", "load.clean-up": "cancelled"}

    in_room(body)


def test_the_manifest_says_how_long_and_history_is_the_limit() -> None:
    async def body(room: Room) -> None:
        await succeeded(room, terms=(5.0, 50_000.0))
        keeper = clean_ups(room, history_s=600.0)
        await passes(room, keeper, 5.0)
        assert list(open_steps(room)) == ["extract.clean-up"]
        await passes(room, keeper, 595.0)
        assert list(open_steps(room)) == ["extract.clean-up", "load.clean-up"]

    in_room(body)


def test_a_person_need_not_wait() -> None:
    async def body(room: Room) -> None:
        host, keeper = await succeeded(room), clean_ups(room)
        asked = await keeper.ask(["m1", "m1"], "ada")
        await room.settled()
        assert (len(asked.migration_ids), asked.clean) == (1, [])
        assert "MigrationCleanUpAsked" in room.events(asked.migration_ids[0])
        await finish(room, host)
        await finish(room, host)
        assert (await keeper.ask(["m1"], "ada")).clean == ["m1"]
        assert (await keeper.ask(None, "ada")).migration_ids == []

    in_room(body)


def test_one_that_failed_is_named_and_tried_anew_at_a_persons_word() -> None:
    async def body(room: Room) -> None:
        host, keeper = await succeeded(room), clean_ups(room)
        await passes(room, keeper, STAGED_S)
        await finish(room, host, failure=Failure("not_staged", "that is somebody else's", retryable=False))
        assert open_steps(room) == {"extract.clean-up": "failed"}
        assert (await keeper.leftovers()).failed == ["m1"]
        asked = await keeper.ask(None, "ada")
        await room.settled()
        assert len(asked.migration_ids) == 1
        await finish(room, host)
        await finish(room, host)
        assert set(open_steps(room).values()) == {"succeeded"}
        assert (await keeper.leftovers()).failed == []

    in_room(body)


def test_status_counts_what_is_kept_and_when_it_goes() -> None:
    async def body(room: Room) -> None:
        keeper = clean_ups(room)
        assert (await keeper.leftovers()).staged == 0
        await succeeded(room, terms=(7.0, None))
        left = await keeper.leftovers()
        assert (left.staged, left.former) == (1, 1)
        assert (left.staged_next_at, left.former_next_at) == (room.now + 7.0, room.now + FORMER_S)

    in_room(body)


def test_only_what_has_ended_is_cleaned_up() -> None:
    async def body(room: Room) -> None:
        await room.connect(kinds=frozenset({"load"}))
        await room.start(a_plan())
        keeper = clean_ups(room)
        with pytest.raises(Precondition, match="m1 is running"):
            await keeper.ask(["m1"], "ada")
        with pytest.raises(NotFound):
            await keeper.ask(["m2"], "ada")
        (migration,) = room.store.see(lambda tx: tx.migration_ids())
        assert await keeper.left_by(migration) is None

    in_room(body)


def test_history_is_kept_until_the_clean_up_is_over() -> None:
    async def body(room: Room) -> None:
        host, keeper = await succeeded(room), clean_ups(room)
        late = room.now + 1e9
        assert room.store.see(lambda tx: tx.expired_migrations(late, 9)) == []
        await passes(room, keeper, FORMER_S)
        assert room.store.see(lambda tx: tx.expired_migrations(late, 9)) == []
        await finish(room, host)
        await finish(room, host)
        assert len(room.store.see(lambda tx: tx.expired_migrations(late, 9))) == 1

    in_room(body)
