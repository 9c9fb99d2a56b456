"""Granting, settling and expiring over a store: what is written, what is refused, what becomes ready."""

from typing import Any

from controlplane.core.model import Failure, Outcome
from controlplane.core.states import AttemptState
from controlplane.service.steps.settling import GrantedLease, expire, settle
from tests.kit.builders import a_plan
from tests.unit.controlplane.service.room import Host, Room, in_room

FINAL = Failure("type_mismatch", "no such type", retryable=False)
AGAIN = Failure("unreachable_datastore", "no route")


def outcome(lease: GrantedLease, state: AttemptState = AttemptState.SUCCEEDED, **changes: Any) -> Outcome:
    fields: dict[str, Any] = {"attempt_id": lease.attempt.id, "fence": lease.attempt.fence, "state": state, **changes}
    return Outcome(**fields)


async def report(room: Room, host: Host, *outcomes: Outcome) -> None:
    assert host.session is not None
    await room.sessions.offers.results(host.session, outcomes)
    await room.settled()


def test_every_report_is_acknowledged_whatever_becomes_of_it() -> None:
    async def body(room: Room) -> None:
        host = await room.connect("host-1")
        other = await room.connect("host-2", kinds=frozenset())
        await room.start(a_plan())
        lease = host.grants[0]
        strange = Outcome("att_nobody", 1, AttemptState.SUCCEEDED)
        stale = outcome(lease, fence=lease.attempt.fence - 1)
        done = room.store.batcher.run([lambda tx: settle(tx, other.id, [outcome(lease), strange], room.now)])[0].value
        assert (done.acknowledged, done.ended) == ([lease.attempt.id, "att_nobody"], [])
        await report(room, host, stale, outcome(lease), outcome(lease))
        assert host.told[-1].acknowledged == [lease.attempt.id] * 3
        # The stale one is evidence; the repeated one is only a repeat.
        assert room.events().count("LateResult") == 1
        assert room.state_of(lease.step.migration_id) == "succeeded"

    in_room(body)


def test_two_verdicts_on_one_attempt_in_one_message_count_the_first() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        migration = await room.start(a_plan())
        lease = host.grants[0]
        await report(room, host, outcome(lease, AttemptState.FAILED, failure=FINAL), outcome(lease))
        assert room.state_of(migration) == "failed"
        assert room.events().count("LateResult") == 1

    in_room(body)


def test_the_end_of_a_step_readies_those_that_need_it() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        first = a_plan(name="first", target="t1")
        second = a_plan(name="second", target="t2", needs=("first",))
        third = a_plan(name="third", target="t3", needs=("first", "second"))
        migration = await room.start(first, second, third)
        for number, states in enumerate(
            (
                {"first": "leased", "second": "blocked", "third": "blocked"},
                {"first": "succeeded", "second": "leased", "third": "blocked"},
                {"first": "succeeded", "second": "succeeded", "third": "leased"},
            )
        ):
            assert room.steps_of(migration) == states
            await report(room, host, outcome(host.grants[number]))
        assert room.state_of(migration) == "succeeded"

    in_room(body)


def test_a_successor_is_told_whom_to_evict_and_what_to_undo() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        await room.start(a_plan())
        lost = host.grants[0]
        assert (lost.evict_attempt_ids, lost.forward_result) == ((), b"")
        silent = Failure("lease_expired", "silent")
        due = [(lost.attempt.id, lost.attempt.fence, silent)]
        done = await room.store.write(lambda tx: expire(tx, due, room.now, lock_delay_s=60.0))
        room.sessions.book.remove(done.ended)
        room.sessions.offers.offer(done.readied)
        await room.settled()
        second = host.grants[1]
        assert second.evict_attempt_ids == (lost.attempt.id,)
        await report(room, host, outcome(second, result=b"rows"))
        await room.migrations.undo("m1", "MigrationRollbackAsked", "no")
        await room.settled()
        back = host.grants[2]
        assert (back.forward_result, back.evict_attempt_ids) == (b"rows", (lost.attempt.id,))
        await report(room, host, outcome(back))

    in_room(body)


def test_a_lease_that_ended_meanwhile_is_left_as_it_is() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        migration = await room.start(a_plan())
        lease = host.grants[0]
        await report(room, host, outcome(lease))
        silent = Failure("lease_expired", "silent")
        due = [
            (lease.attempt.id, lease.attempt.fence, silent),
            (lease.attempt.id, lease.attempt.fence + 1, silent),
            ("att_nobody", 1, silent),
        ]
        done = await room.store.write(lambda tx: expire(tx, due, room.now, lock_delay_s=60.0))
        # It is over all the same: whoever keeps it in memory may forget it.
        assert done.ended == [lease.attempt.id]
        assert room.state_of(migration) == "succeeded"

    in_room(body)


def test_a_failed_try_is_offered_again_after_its_wait() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        await room.start(a_plan(attempts_max=2))
        await report(room, host, outcome(host.grants[0], AttemptState.FAILED, failure=AGAIN))
        room.sessions.offers.offer_all()
        await room.settled()
        assert len(host.grants) == 1
        room.now += 2.0
        room.sessions.offers.offer_all()
        await room.settled()
        assert [lease.attempt.number for lease in host.grants] == [1, 2]

    in_room(body)
