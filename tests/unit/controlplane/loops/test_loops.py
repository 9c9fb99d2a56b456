"""Each loop's pass over a store: what it ends, what it moves on, what it leaves alone."""

import pytest

from controlplane.core.model import Outcome
from controlplane.core.states import AttemptState, Liveness
from controlplane.core.steps.admission import Limits
from controlplane.loops.agent_watcher import AgentWatcher
from controlplane.loops.dispatcher import Dispatcher
from controlplane.loops.lease_reaper import LeaseReaper
from controlplane.loops.workflow_advancer import WorkflowAdvancer
from tests.kit.builders import a_plan
from tests.unit.controlplane.service.room import Host, Room, held, in_room


def reaper(room: Room) -> LeaseReaper:
    return LeaseReaper(room.store, room.clock, room.sessions)


def watcher(room: Room) -> AgentWatcher:
    return AgentWatcher(room.store, room.clock, room.sessions)


def liveness(room: Room, host: Host) -> tuple[Liveness, str]:
    agent = room.store.see(lambda tx: tx.agent(host.id))
    assert agent is not None
    return agent.liveness, agent.liveness_cause


async def succeed(room: Room, host: Host) -> None:
    attempt = host.grants[-1].attempt
    assert host.session is not None
    await room.sessions.offers.results(host.session, [Outcome(attempt.id, attempt.fence, AttemptState.SUCCEEDED)])
    await room.settled()


def test_the_reaper_ends_a_lease_that_was_not_renewed_and_tells_its_agent() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        await room.start(a_plan())
        lease = host.grants[0]
        room.now += 59.0
        await reaper(room).run()
        assert host.cancels == [] and room.sessions.book.held_by(host.id) == 1
        room.now += 1.0
        await reaper(room).run()
        assert host.cancels == [
            (lease.attempt.id, lease.attempt.fence, f"agent {host.id} did not renew the lease in time")
        ]
        assert room.sessions.book.held_by(host.id) == 0
        assert room.events(lease.step.id)[-2:] == ["LeaseExpired", "StepReadied"]

    in_room(body)


@pytest.mark.parametrize(("passes", "counted"), [(6, 1), (1, 0)], ids=["on time", "away in between"])
def test_a_host_is_blamed_for_a_lost_lease_only_by_a_reaper_that_was_on_time(passes: int, counted: int) -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        reaping = reaper(room)
        await reaping.run()
        await room.start(a_plan())
        for _ in range(passes):
            room.now += 60.0 / passes
            await reaping.run()
        assert host.cancels != [] and room.sessions.book.held_by(host.id) == 0
        _, counts = room.sessions.hosts.take_flush()
        assert sum(counts.failed for counts in counts.values()) == counted

    in_room(body)


def test_the_reaper_makes_renewals_durable_before_it_judges() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        await room.start(a_plan())
        room.now += 59.0
        assert host.session is not None
        room.sessions.heartbeat(host.session, [held(host.grants[0], 4)], 1, "")
        room.now += 59.0
        await reaper(room).run()
        assert host.cancels == []
        (row,) = room.store.see(lambda tx: tx.live_rows())
        assert (row.attempt.expires_at, row.watermark) == (room.now + 1.0, 4)

    in_room(body)


def test_the_reaper_ends_what_overran_its_limit_though_it_is_renewed() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        migration = await room.start(a_plan(start_to_finish_s=30.0, attempts_max=1))
        for _ in range(4):
            room.now += 10.0
            assert host.session is not None
            room.sessions.heartbeat(host.session, [held(host.grants[0])], 1, "")
            await reaper(room).run()
        assert room.state_of(migration) == "failed"
        (step,) = room.store.see(lambda tx: tx.steps_of(migration))
        assert step.reason_code == "start_to_finish_timeout"
        # The first reason is the one that counts.
        assert "longer than its limit of 30 s" in host.cancels[-1][2]

    in_room(body)


def test_a_step_that_nobody_takes_in_time_fails_and_ends_its_migration() -> None:
    async def body(room: Room) -> None:
        migration = await room.start(a_plan(queue_s=30.0), a_plan(name="next", needs=("load",), target="t2"))
        room.now += 30.0
        await reaper(room).run()
        assert room.state_of(migration) == "running"
        room.now += 0.1
        await reaper(room).run()
        assert room.state_of(migration) == "failed"
        (late, _) = room.store.see(lambda tx: tx.steps_of(migration))
        assert (late.reason_code, late.reason) == ("queue_timeout", "no agent took the step within 30 s")
        assert "`haulier migration retry m1`" in late.hint and "`haulier why m1`" in late.hint

    in_room(body)


def test_the_expired_step_goes_to_another_agent_in_the_same_pass() -> None:
    async def body(room: Room) -> None:
        silent = await room.connect("silent", slots=1)
        await room.start(a_plan())
        room.now += 30.0
        other = await room.connect("other")
        room.now += 30.0
        assert other.session is not None
        room.sessions.heartbeat(other.session, [], 1, "")
        await reaper(room).run()
        await room.settled()
        assert [lease.attempt.number for lease in other.grants] == [2]
        assert other.grants[0].attempt.fence > silent.grants[0].attempt.fence

    in_room(body)


def test_the_watcher_turns_a_closed_stream_and_silence_into_verdicts_with_causes() -> None:
    async def body(room: Room) -> None:
        watch = watcher(room)
        host = await room.connect()
        await watch.run()
        assert liveness(room, host) == (Liveness.ALIVE, "")
        assert host.session is not None
        room.sessions.close(host.session)
        await watch.run()
        assert liveness(room, host) == (Liveness.SUSPECT, "its stream was closed")
        room.now += 60.0
        await watch.run()
        assert liveness(room, host) == (Liveness.LOST, "its stream was closed and it was silent for 60 s")
        await watch.run()
        assert room.events(host.id) == ["AgentConnected", "AgentSuspected", "AgentLost"]
        await room.hello(host, incarnation=2)
        assert liveness(room, host) == (Liveness.ALIVE, "")

    in_room(body)


def test_a_paused_agent_is_alive_again_without_reconnecting() -> None:
    async def body(room: Room) -> None:
        watch = watcher(room)
        host = await room.connect()
        await watch.run()
        room.now += 25.0
        await watch.run()
        assert liveness(room, host) == (Liveness.SUSPECT, "no heartbeat for 25 s on an open stream")
        room.now += 40.0
        await watch.run()
        assert liveness(room, host)[0] is Liveness.LOST
        assert host.session is not None
        room.sessions.heartbeat(host.session, [], 1, "")
        await watch.run()
        assert liveness(room, host) == (Liveness.ALIVE, "")
        assert room.events(host.id)[-1] == "AgentHeard"

    in_room(body)


def test_after_a_start_silence_counts_from_the_start() -> None:
    async def body(room: Room) -> None:
        host = await room.connect()
        assert host.session is not None
        room.sessions.close(host.session)
        room.now += 10_000.0
        await room.sessions.start(Limits())
        watch = watcher(room)
        await watch.run()
        assert liveness(room, host)[0] is Liveness.SUSPECT
        room.now += 59.0
        await watch.run()
        assert liveness(room, host)[0] is Liveness.SUSPECT
        room.now += 1.0
        await watch.run()
        assert liveness(room, host)[0] is Liveness.LOST

    in_room(body)


def test_the_dispatcher_finds_steps_whose_wait_is_over_and_budgets_that_came_free() -> None:
    async def body(room: Room) -> None:
        dispatcher = Dispatcher(room.store, room.clock, room.sessions)
        await dispatcher.run()
        room.sessions.offers.set_limits(Limits({"warehouse": 1}))
        host = await room.connect()
        await room.start(a_plan(name="a", target="t1"), a_plan(name="b", target="t2"))
        assert len(host.grants) == 1
        await dispatcher.run()
        await room.settled()
        assert len(host.grants) == 1
        room.sessions.offers._limits = Limits()
        await dispatcher.run()
        await room.settled()
        assert len(host.grants) == 2

    in_room(body)


def test_the_advancer_moves_on_what_nobody_else_did() -> None:
    """As if the process had died between the end of a step and the look at its migration."""

    async def body(room: Room) -> None:
        host = await room.connect()
        migration = await room.start(a_plan(), looked_at=False)
        assert room.steps_of(migration) == {"load": "blocked"}
        advancer = WorkflowAdvancer(room.store, room.clock, room.sessions)
        await advancer.run()
        await room.settled()
        assert room.steps_of(migration) == {"load": "leased"}
        await advancer.run()
        assert room.steps_of(migration) == {"load": "leased"}
        await succeed(room, host)
        assert room.state_of(migration) == "succeeded"

    in_room(body)


def test_an_agent_that_is_not_heard_is_not_shown_alive_although_the_store_takes_no_write() -> None:
    async def body(room: Room) -> None:
        host, paused = await room.connect(), await room.connect(name="host-2")
        assert host.session is not None
        room.sessions.close(host.session)
        room.now += 300.0
        # The watcher cannot write its verdict: what is stored is out of date.
        assert liveness(room, host)[0] is Liveness.ALIVE
        shown = {agent.id: (agent.liveness, agent.liveness_cause) for agent, _, _ in await room.queries.agents()}
        assert shown[host.id][0] is Liveness.LOST and "stream was closed" in shown[host.id][1]
        assert shown[paused.id][0] is Liveness.LOST and "no heartbeat" in shown[paused.id][1]
        assert (await room.queries.counts()).agents == {"lost": 2}
        assert paused.session is not None
        room.sessions.heartbeat(paused.session, [], 1, "")
        heard = {agent.id: agent for agent, _, _ in await room.queries.agents()}[paused.id]
        assert (heard.liveness, heard.heard_at) == (Liveness.ALIVE, room.now)

    in_room(body)
