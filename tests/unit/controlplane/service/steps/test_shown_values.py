"""Promise A5 in the control plane: values are kept only where a Dataset lets them leave, and not for ever."""

from haulier.v1 import kinds_pb2 as k

from controlplane.core.model import Failure, Outcome
from controlplane.core.states import AttemptState
from controlplane.loops.value_keeper import ValueKeeper
from tests.kit.builders import a_plan
from tests.unit.controlplane.service.room import Room, in_room

CANARY = "Zanzibar 4711"
FAILED = Failure("verification_failed", f"who: found {CANARY}", retryable=False)


def told(*, apart: bool) -> bytes:
    row = k.RowDifference(kind="changed", key_json='{"id": "7"}', columns_json=f'{{"name": ["x", "{CANARY}"]}}')
    return k.ValidateResult(values_apart=apart, differences=[row], differences_count=1).SerializeToString()


async def reported(room: Room, *, allowed: bool, apart: bool) -> None:
    """Have the validate step of a migration fail with values in its report."""
    host = await room.connect()
    params = k.ValidateParams(show_values=allowed, show_values_for_s=3600.0 if allowed else 0.0)
    await room.start(a_plan(kind="validate", params=params.SerializeToString()))
    (lease,) = host.grants
    message = "not proven" if apart else FAILED.message
    failure = Failure(FAILED.code, message, retryable=False)
    end = Outcome(lease.attempt.id, lease.attempt.fence, AttemptState.FAILED, told(apart=apart), failure)
    assert host.session is not None
    await room.sessions.offers.results(host.session, [end])
    await room.settled()


def kept(room: Room) -> bool:
    """Whether the canary is in any row of any table."""
    connection = room.store.batcher.tx.connection
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    assert {"step_body", "attempt", "event"} <= set(tables)
    return any(CANARY in repr(row) for table in tables for row in connection.execute(f"SELECT * FROM {table}"))


async def shown(room: Room, *, values: bool) -> bool:
    detail = await room.queries.migration("m1", values=values)
    return any(CANARY.encode() in result for result in detail.results.values())


def test_what_may_not_be_told_is_not_kept_whoever_tells_it() -> None:
    async def body(room: Room) -> None:
        await reported(room, allowed=False, apart=True)
        assert not kept(room)
        assert not await shown(room, values=True)

    in_room(body)


def test_an_agent_of_before_the_rule_leaves_no_value_in_any_message() -> None:
    async def body(room: Room) -> None:
        await reported(room, allowed=True, apart=False)
        assert not kept(room)

    in_room(body)


def test_what_may_be_told_is_shown_to_some_and_gone_in_time() -> None:
    async def body(room: Room) -> None:
        await reported(room, allowed=True, apart=True)
        assert kept(room)
        assert await shown(room, values=True)
        assert not await shown(room, values=False)
        keeper = ValueKeeper(room.store, room.clock)
        room.now += 3599.0
        await keeper.run()
        assert kept(room)
        room.now += 1.0
        await keeper.run()
        assert not kept(room)
        detail = await room.queries.migration("m1", values=True)
        (result,) = detail.results.values()
        (row,) = k.ValidateResult.FromString(result).differences
        assert (row.key_json, [each.column for each in row.changed]) == ('{"id": "7"}', ["name"])

    in_room(body)
