"""Who is connected, what it holds, what it is offered."""

import asyncio
from dataclasses import replace

import pytest

from controlplane.core.model import Failure, Held, Outcome, Requirements, StepPlan
from controlplane.core.states import AgentState, AttemptState
from controlplane.core.steps.admission import Limits
from controlplane.core.steps.leasing import Refused
from controlplane.service.steps.advancing import advance
from controlplane.service.steps.settling import GrantedLease
from controlplane.store.port import StoreFailed, Tx
from tests.kit.builders import a_plan
from tests.unit.controlplane.service.room import Host, Room, held, in_room


def plans(number: int) -> list[StepPlan]:
    return [a_plan(name=f"s{n}", target=f"t{n}") for n in range(number)]


def done(lease: GrantedLease, state: AttemptState = AttemptState.SUCCEEDED, failure: Failure | None = None) -> Outcome:
    return Outcome(lease.attempt.id, lease.attempt.fence, state, b"", failure)


async def report(room: Room, host: Host, *outcomes: Outcome) -> None:
    assert host.session is not None
    await room.sessions.offers.results(host.session, outcomes)
    await room.settled()


def test_an_agent_gets_no_more_than_it_has_slots_and_more_as_it_finishes() -> None:
    async def body(room: Room) -> None:
        host = await room.connect(slots=2)
        await room.start(*plans(5))
        assert len(host.grants) == 2
        await report(room, host, done(host.grants[0]))
        assert len(host.grants) == 3
        # The acknowledgement and the new lease ride in one message.
        assert host.told[-1].acknowledged == [host.grants[0].attempt.id] and host.told[-1].grants

    in_room(body)


def test_work_is_spread_over_agents_that_match() -> None:
    async def body(room: Room) -> None:
        hosts = [await room.connect(f"host-{n}", slots=1) for n in range(3)]
        stranger = await room.connect("stranger", kinds=frozenset({"extract"}))
        await room.start(*plans(3))
        assert [len(host.grants) for host in hosts] == [1, 1, 1]
        assert stranger.grants == []

    in_room(body)


def test_a_class_that_a_migration_brings_is_offered_to_agents_that_were_there_before() -> None:
    async def body(room: Room) -> None:
        host = await room.connect(labels={"zone": "a"})
        needs_zone = Requirements("load", ("lake",), (("zone", "a"),))
        await room.start(a_plan(requirements=needs_zone))
        await room.start(a_plan(target="t2", requirements=replace(needs_zone, labels=(("zone", "b"),))), name="m2")
        assert [lease.step.name for lease in host.grants] == ["load"]

    in_room(body)


def test_a_budget_holds_work_back_until_it_grows_or_a_step_ends() -> None:
    async def body(room: Room) -> None:
        room.sessions.offers.set_limits(Limits({"warehouse": 1}))
        host = await room.connect()
        await room.start(*plans(3))
        assert len(host.grants) == 1
        room.sessions.offers.set_limits(Limits({"warehouse": 2}))
        await room.settled()
        assert len(host.grants) == 2
        await report(room, host, done(host.grants[0]))
        assert len(host.grants) == 3

    in_room(body)


def test_a_silent_agent_is_offered_nothing_until_it_is_heard_again() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        room.now += 24.0
        await room.start(*plans(1))
        assert len(host.grants) == 1
        room.now += 1.0
        await room.start(a_plan(target="late"), name="m2")
        assert len(host.grants) == 1
        assert host.session is not None
        room.sessions.heartbeat(host.session, [held(host.grants[0])], 1, "")
        room.sessions.offers.offer_all()
        await room.settled()
        assert len(host.grants) == 2

    in_room(body)


def test_a_stale_twin_is_refused_and_the_living_agent_keeps_its_stream() -> None:
    async def body(room: Room) -> None:
        host = await room.connect(incarnation=5)
        twin = Host(host.id)
        assert isinstance(await room.hello(twin, incarnation=4), Refused)
        assert room.sessions.by_agent[host.id] is host.session
        assert host.ended == 0
        await room.start(*plans(1))
        assert len(host.grants) == 1 and twin.told == []

    in_room(body)


def test_a_twin_is_refused_also_after_a_restart_by_what_the_store_remembers() -> None:
    async def body(room: Room) -> None:
        host = await room.connect(incarnation=5)
        assert host.session is not None
        room.sessions.close(host.session)
        assert isinstance(await room.hello(Host(host.id), incarnation=4), Refused)
        assert isinstance(await room.hello(Host("ag_nobody")), Refused)
        assert room.sessions.by_agent == {}

    in_room(body)


def test_a_newer_stream_takes_over_and_ends_the_old_one() -> None:
    async def body(room: Room) -> None:
        old = await room.connect()
        new = Host(old.id)
        await room.hello(new, incarnation=2)
        assert old.ended == 1
        await room.start(*plans(1))
        assert old.grants == [] and len(new.grants) == 1
        # The end of the old stream does not close the new one.
        assert old.session is not None
        room.sessions.close(old.session)
        assert room.sessions.by_agent[new.id] is new.session

    in_room(body)


def test_a_grant_that_is_written_together_with_a_hello_is_not_for_the_old_stream() -> None:
    async def body(room: Room) -> None:
        old = await room.connect()
        await room.start(*plans(1))
        session = old.session
        assert session is not None and len(old.grants) == 1
        await report(room, old, done(old.grants[0]))
        await room.start(a_plan(requirements=Requirements("load", ("shop",))), name="m2", looked_at=False)
        granted: list[object] = []

        def grant_too(tx: Tx) -> None:
            advance(tx, tx.migration_ids()[1], room.now)
            granted.extend(room.sessions.offers._grant_in(tx, session, room.sessions.offers._terms(session), room.now))

        room.store.in_the_same_batch = grant_too
        new = Host(old.id)
        await room.hello(new, incarnation=2)
        assert granted == []
        assert [lease.attempt.incarnation for lease in new.grants] == [2]

    in_room(body)


def test_two_hellos_at_once_leave_one_stream() -> None:
    async def body(room: Room) -> None:
        agent_id = await room.join("host-1")
        one, other = Host(agent_id), Host(agent_id)
        await asyncio.gather(room.hello(one, kinds=frozenset({"load", "extract"})), room.hello(other))
        await room.start(*plans(1))
        assert sorted(len(host.grants) for host in (one, other)) == [0, 1]
        assert one.ended + other.ended == 1

    in_room(body)


def test_a_lease_sent_again_has_a_whole_term_and_one_that_is_over_is_not_sent() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        await room.start(*plans(1))
        lease = host.grants[0].attempt
        room.now += 50.0
        again = Host(host.id)
        await room.hello(again, incarnation=2)
        assert [each.attempt.id for each in again.grants] == [lease.id]
        assert room.sessions.book.leases[lease.id].expires_at == room.now + 60.0
        # An older life cannot renew it any more.
        assert host.session is not None
        room.sessions.heartbeat(host.session, [held(host.grants[0])], 2, "")
        assert host.cancels == [(lease.id, lease.fence, "incarnation 1 of the agent was followed by 2")]
        room.now += 60.0
        late = Host(host.id)
        await room.hello(late, incarnation=3)
        assert late.grants == []

    in_room(body)


@pytest.mark.parametrize("holds", [True, False], ids=["held", "sent again"])
def test_a_lease_that_ends_while_the_store_takes_in_a_hello_stays_ended(holds: bool) -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        await room.start(*plans(1))
        grant = host.grants[0]
        again = Host(host.id)
        room.now += 59.0
        room.store.answers = asyncio.Event()
        hello = asyncio.ensure_future(room.hello(again, incarnation=2, held=(held(grant),) if holds else ()))
        await room.store.answering.wait()
        # The hello came in time and is durable; it is answered when the reaper may have begun to end the lease.
        room.now += 1.5
        assert [lease.attempt_id for lease in room.sessions.book.due(room.now)] == [grant.attempt.id]
        room.store.answers.set()
        await hello
        assert again.grants == []
        assert again.session is not None
        room.sessions.heartbeat(again.session, [held(grant)], 2, "")
        assert again.renewals == [] and again.cancels == [(grant.attempt.id, grant.attempt.fence, "lease expired")]
        assert [lease.attempt_id for lease in room.sessions.book.due(room.now)] == [grant.attempt.id]

    in_room(body)


def test_a_heartbeat_renews_and_refuses_one_by_one() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        await room.start(*plans(1))
        lease = host.grants[0]
        room.now += 10.0
        assert host.session is not None
        room.sessions.heartbeat(host.session, [held(lease, 5), Held("att_x", 1, 0)], 7, '{"cpu_fraction":0.5}')
        assert host.renewals == [(lease.attempt.id, lease.attempt.fence, 60.0, 7)]
        assert host.cancels == [("att_x", 1, "this agent holds no such lease")]
        await room.sessions.flush()
        (row,) = room.store.see(lambda tx: tx.live_rows())
        assert (row.attempt.expires_at, row.watermark, row.moved_at) == (room.now + 60.0, 5, room.now)
        ((agent, sample),) = room.store.see(lambda tx: tx.agents())
        assert (agent.heard_at, sample) == (room.now, '{"cpu_fraction":0.5}')
        # An empty heartbeat has no answer.
        told = len(host.told)
        room.sessions.heartbeat(host.session, [], 8, "")
        assert len(host.told) == told

    in_room(body)


def test_a_restart_gives_every_live_lease_a_whole_term() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        await room.start(*plans(2))
        await report(room, host, done(host.grants[1]))
        room.now += 1000.0
        await room.sessions.start(Limits({"warehouse": 3}))
        (lease,) = room.sessions.book.leases.values()
        assert lease.expires_at == room.now + 60.0
        assert room.sessions.book.held_by(host.id) == 1
        (row,) = room.store.see(lambda tx: tx.live_rows())
        assert row.attempt.expires_at == room.now + 60.0
        assert room.sessions.offers.limits.steps == {"warehouse": 3}

    in_room(body)


def test_draining_and_resuming_are_told_recorded_and_repeatable() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        for _ in range(2):
            drained = await room.sessions.set_state("host-1", AgentState.DRAINING, "new disk", by="ada")
            assert drained is not None and drained.state is AgentState.DRAINING
        await room.start(*plans(1))
        assert host.grants == []
        assert [said.drain_reason for said in host.told] == ["new disk", "new disk"]
        resumed = await room.sessions.set_state(host.id, AgentState.SERVING, "", by="ada")
        await room.settled()
        assert resumed is not None and resumed.drain_reason == ""
        assert len(host.grants) == 1
        assert room.events(host.id) == ["AgentConnected", "AgentDrained", "AgentResumed"]
        assert await room.sessions.set_state("nobody", AgentState.SERVING, "") is None

    in_room(body)


def test_an_agent_that_is_not_connected_is_drained_and_told_at_its_hello() -> None:
    async def body(room: Room) -> None:
        host = Host(await room.join("host-1"))
        await room.sessions.set_state("host-1", AgentState.DRAINING, "new disk")
        await room.hello(host)
        assert [said.drain_reason for said in host.told] == ["new disk"]

    in_room(body)


def test_what_is_cancelled_is_forgotten_and_told() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        migration = await room.start(*plans(1))
        lease = host.grants[0].attempt
        await room.migrations.undo("m1", "MigrationCancelAsked", "wrong table")
        await room.settled()
        assert host.cancels == [(lease.id, lease.fence, "wrong table")]
        back = host.grants[1]
        assert back.evict_attempt_ids == (lease.id,)
        await report(room, host, done(back))
        assert room.state_of(migration) == "cancelled"
        assert room.sessions.book.leases == {}

    in_room(body)


def test_a_store_that_cannot_write_loses_no_report() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        migration = await room.start(*plans(1))
        room.store.fails = True
        with pytest.raises(StoreFailed):
            await report(room, host, done(host.grants[0]))
        # An offer that cannot be written ends quietly.
        room.sessions.offers.offer_all()
        await room.settled()
        room.store.fails = False
        assert host.told[-1].acknowledged == []
        await report(room, host, done(host.grants[0]))
        assert room.state_of(migration) == "succeeded"

    in_room(body)


def test_only_classes_that_an_agent_with_room_can_run_are_wanted() -> None:
    async def body(room: Room) -> None:
        assert room.sessions.offers.wanted_classes() == []
        host = await room.connect(slots=1)
        await room.start(*plans(2))
        assert room.sessions.offers.wanted_classes() == []
        await report(room, host, done(host.grants[0]))
        await report(room, host, done(host.grants[1]))
        assert room.sessions.offers.wanted_classes() == [host.grants[0].step.placement_class]
        assert host.session is not None
        room.sessions.close(host.session)
        assert room.sessions.offers.wanted_classes() == []

    in_room(body)


def test_a_stream_that_breaks_during_a_commit_leaves_no_lease_that_nobody_knows() -> None:
    async def body(room: Room) -> None:
        host = await room.connect(slots=1)
        await room.start(*plans(2))
        assert host.session is not None
        room.store.answers = asyncio.Event()
        reporting = asyncio.ensure_future(room.sessions.offers.results(host.session, [done(host.grants[0])]))
        await room.store.answering.wait()
        # It is durable, and nobody here knows it yet, when the listener gives the call up.
        reporting.cancel()
        room.store.answers.set()
        await room.settled()
        live = {attempt.id for attempt in room.store.see(lambda tx: tx.live_of_agent(host.id))}
        assert len(live) == 1 and live == set(room.sessions.book.leases)

    in_room(body)


def test_a_hello_whose_stream_broke_does_not_speak_for_the_living_one() -> None:
    async def body(room: Room) -> None:
        living = Host(await room.join("host-1"))
        room.store.answers = asyncio.Event()
        newest = asyncio.ensure_future(room.hello(living, slots=1))
        stale = asyncio.ensure_future(room.hello(Host(living.id), slots=4))
        await room.store.answering.wait()
        # Both are stored, the stale one last; its stream is known to be gone before either is answered.
        for _ in range(3):
            await asyncio.sleep(0)
        stale.cancel()
        room.store.answers.set()
        await newest
        known = room.store.see(lambda tx: tx.agent(living.id))
        assert known is not None and known.slots == 4
        # So the living stream must not go on as if the store knew it.
        assert living.ended == 1 and room.sessions.by_agent == {}

    in_room(body)
