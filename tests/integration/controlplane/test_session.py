"""The session of an agent, over real mutual TLS: leases, results, renewals, reconnecting, drain."""

import asyncio
from pathlib import Path

import grpc
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import operator_pb2

from controlplane.store.port import Tx
from tests.integration.controlplane.plane import Running, a_hello, serving
from tests.kit.builders import a_plan
from tests.kit.running import run, until

EXTRACT = a_plan(name="extract", kind="extract", target="staging/flights")
LOAD = a_plan(name="load", kind="load", needs=("extract",))


async def lease(running: Running, attempt_id: str) -> tuple[str, int]:
    """State and incarnation of an attempt."""
    attempts = await running.plane.store.read(lambda tx: tx.attempts([attempt_id]))
    return str(attempts[attempt_id].state), attempts[attempt_id].incarnation


def held(grant: pb.LeaseGrant, watermark: int = 0) -> pb.HeldAttempt:
    """What an agent says of a lease that it holds."""
    return pb.HeldAttempt(attempt_id=grant.attempt_id, fence=grant.fence, watermark=watermark)


def test_work_is_pushed_in_order_and_a_migration_succeeds(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            talk = await running.talk(joined)
            assert talk.welcome is not None
            assert (talk.welcome.agent_id, talk.welcome.heartbeat_s) == (joined.id, 15.0)
            migration = await running.start(EXTRACT, LOAD)
            (first,) = await talk.granted(1)
            assert (first.step_name, first.kind, first.number) == ("extract", "extract", 1)
            assert first.target == EXTRACT.target
            assert (first.params, first.ttl_s) == (b"params", 60.0)
            assert (first.direction, list(first.evict_attempt_ids)) == (pb.DIRECTION_FORWARD, [])
            await talk.settled(first, result=b"parts")
            second = (await talk.granted(2))[1]
            assert second.step_name == "load"
            await talk.settled(second)
            assert await running.state_of(migration) == "succeeded"

    run(body())


def test_the_same_result_twice_is_acknowledged_twice_and_counted_once(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join())
            migration = await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            await talk.settled(grant)
            await talk.settled(grant)
            assert talk.acknowledged == [grant.attempt_id] * 2
            types = [event.type for event in await running.events(migration)]
            assert types.count("StepSucceeded") == 1
            assert "LateResult" not in types

    run(body())


def test_a_late_result_is_acknowledged_refused_and_kept_as_evidence(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join())
            migration = await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            request = operator_pb2.CancelMigrationRequest(migration=migration, reason="wrong table")
            await running.ask("CancelMigration", request)
            await talk.hear_until(lambda: talk.cancels)
            assert (talk.cancels[0].attempt_id, talk.cancels[0].fence) == (grant.attempt_id, grant.fence)
            await talk.settled(grant)
            late = [event for event in await running.events(migration) if event.type == "LateResult"]
            assert [event.detail for event in late] == [
                "reported succeeded, refused: the attempt has ended as cancelled"
            ]
            back = (await talk.granted(2))[1]
            assert (back.direction, back.number) == (pb.DIRECTION_UNDO, 2)
            assert back.fence > grant.fence
            assert list(back.evict_attempt_ids) == [grant.attempt_id]
            await talk.settled(back)
            assert await running.state_of(migration) == "cancelled"

    run(body())


def test_a_result_under_another_fence_moves_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join())
            migration = await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            await talk.settled(grant, fence=grant.fence + 1)
            assert await running.state_of(migration) == "running"
            assert (await lease(running, grant.attempt_id))[0] == "running"
            await talk.settled(grant)
            assert await running.state_of(migration) == "succeeded"

    run(body())


def test_a_heartbeat_renews_what_it_names_under_the_sequence_that_asked(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            talk = await running.talk(joined)
            await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            sample = pb.HostSample(cpu_fraction=0.5, memory_used_bytes=7)
            sequence = await talk.say(heartbeat=pb.Heartbeat(held=[held(grant, 10)], sample=sample))
            await talk.hear_until(lambda: talk.renewals)
            (renewal,) = talk.renewals
            assert (renewal.attempt_id, renewal.fence) == (grant.attempt_id, grant.fence)
            assert (renewal.ttl_s, renewal.asked_in_sequence) == (60.0, sequence)
            await talk.say(
                progress=[pb.AttemptProgress(attempt_id=grant.attempt_id, fence=grant.fence, watermark=12, total=20)]
            )
            await running.plane.sessions.flush()
            shown = await running.ask("GetMigration", operator_pb2.GetMigrationRequest(migration="m1"))
            attempt = shown.steps[0].attempts[0]
            await until(lambda: running.plane.sessions.book.leases[grant.attempt_id].watermark == 12, "the progress")
            assert attempt.watermark >= 10
            (agent,) = (await running.ask("ListAgents", operator_pb2.ListAgentsRequest())).agents
            assert (agent.liveness, agent.leases, agent.sample.memory_used_bytes) == ("alive", 1, 7)

    run(body())


def test_reconnecting_gets_the_same_lease_again_when_it_never_arrived(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            talk = await running.talk(joined)
            await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            talk.call.cancel()
            await running.gone(joined)
            again = await running.talk(joined, incarnation=2)
            (resent,) = await again.granted(1)
            assert (resent.attempt_id, resent.fence, resent.number) == (grant.attempt_id, grant.fence, 1)
            assert await lease(running, grant.attempt_id) == ("running", 2)
            await again.settled(resent)

    run(body())


def test_reconnecting_with_what_it_holds_is_adopted_and_renewed(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            talk = await running.talk(joined)
            await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            talk.call.cancel()
            await running.gone(joined)
            before = running.plane.sessions.book.leases[grant.attempt_id].expires_at
            again = await running.talk(joined, incarnation=2, held=[held(grant)])
            assert running.plane.sessions.book.leases[grant.attempt_id].expires_at > before
            await again.settled(grant)
            assert not again.grants and not again.cancels
            assert (await lease(running, grant.attempt_id))[1] == 2

    run(body())


def test_what_an_agent_should_not_hold_it_is_told_to_stop(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            strange = pb.HeldAttempt(attempt_id="att_9_9", fence=5)
            talk = await running.talk(await running.join(), held=[strange])
            await talk.hear_until(lambda: talk.cancels)
            (cancel,) = talk.cancels
            assert (cancel.attempt_id, cancel.fence) == ("att_9_9", 5)
            assert cancel.reason == "this agent holds no such lease any more"

    run(body())


def test_an_older_life_of_an_agent_is_refused_and_cannot_cut_off_the_living_one(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            talk = await running.talk(joined, incarnation=3)
            stale = running.call(joined)
            await stale.say(hello=a_hello(incarnation=2))
            code, why = await stale.status()
            assert code is grpc.StatusCode.FAILED_PRECONDITION
            assert why.startswith("incarnation 2 of host-1 was followed by 3: another daemon runs")
            # The living one goes on: it is still offered work on its own stream.
            await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            await talk.settled(grant)
            (agent,) = (await running.ask("ListAgents", operator_pb2.ListAgentsRequest())).agents
            assert (agent.liveness, agent.incarnation) == ("alive", 3)
            assert len(running.plane.agent_servicer._open) == 1

    run(body())


def test_a_newer_stream_takes_over_and_ends_the_older_one(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            old = await running.talk(joined)
            await running.start(EXTRACT)
            (grant,) = await old.granted(1)
            new = await running.talk(joined, incarnation=2)
            await new.granted(1)
            assert await old.status() == (grpc.StatusCode.ABORTED, "another stream of this agent took over")
            await new.say(heartbeat=pb.Heartbeat(held=[held(grant)]))
            await new.hear_until(lambda: new.renewals)
            assert running.plane.sessions.by_agent[joined.id].agent.incarnation == 2

    run(body())


def test_a_drained_agent_finishes_what_it_holds_and_gets_nothing_new_until_it_resumes(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            talk = await running.talk(joined)
            await running.start(EXTRACT, LOAD)
            (grant,) = await talk.granted(1)
            asked = operator_pb2.DrainAgentRequest(agent="host-1", reason="new disk")
            view = (await running.ask("DrainAgent", asked)).agent
            assert (view.state, view.leases) == ("draining", 1)
            await talk.hear_until(lambda: "drain" in talk.asks)
            await talk.settled(grant)
            assert len(talk.grants) == 1
            why = await running.ask("Why", operator_pb2.WhyRequest(subject="m1/load"))
            (hold,) = why.steps[0].holds
            assert (hold.code, hold.lifted_by) == ("drained_agent", "`haulier agent resume host-1`")
            # It reconnects while drained, is told so again, and takes work after the word to resume.
            talk.call.cancel()
            await running.gone(joined)
            again = await running.talk(joined, incarnation=2, draining=True)
            await again.hear_until(lambda: "drain" in again.asks)
            await running.ask("ResumeAgent", operator_pb2.ResumeAgentRequest(agent=joined.id))
            await again.granted(1)
            assert "resume" in again.asks
            await again.settled(again.grants[0])
            details = {e.type: e.detail for e in await running.events(joined.id)}
            assert details["AgentDrained"] == "new disk (by administrator)"
            assert details["AgentResumed"] == "by administrator"

    run(body())


def test_an_agent_that_missed_the_word_to_resume_hears_it_when_it_is_back(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join(), draining=True)
            await running.start(EXTRACT)
            await talk.granted(1)
            assert talk.asks == ["resume"]

    run(body())


def test_an_agent_on_its_way_out_is_not_asked_again_and_its_refusal_costs_the_step_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            leaving = await running.talk(await running.join("host-1"))
            migration = await running.start(a_plan(attempts_max=1))
            (grant,) = await leaving.granted(1)
            failure = pb.AttemptFailure(code="agent_stopping", message="the agent is stopping", retryable=True)
            await leaving.settled(grant, outcome=pb.ATTEMPT_OUTCOME_FAILED, failure=failure)
            staying = await running.talk(await running.join("host-2"))
            (second,) = await staying.granted(1)
            assert second.number == 2
            assert len(leaving.grants) == 1
            await staying.settled(second)
            assert await running.state_of(migration) == "succeeded"

    run(body())


def test_acknowledgements_arrive_also_when_the_agent_has_said_its_last_word(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join())
            await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            await talk.report(grant)
            await talk.call.done_writing()
            assert await talk.status() == (grpc.StatusCode.OK, "")
            assert talk.acknowledged == [grant.attempt_id]

    run(body())


def test_a_lease_that_is_not_renewed_expires_and_goes_to_another(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, lease_ttl_s=0.6, heartbeat_s=0.2) as running:
            silent = await running.talk(await running.join("host-1"), slots=1)
            migration = await running.start(EXTRACT)
            (grant,) = await silent.granted(1)
            other = await running.talk(await running.join("host-2"))
            await silent.hear_until(lambda: silent.cancels)
            assert "did not renew the lease in time" in silent.cancels[0].reason
            events = [event.type for event in await running.events(migration)]
            assert "LeaseExpired" in events
            winner = asyncio.create_task(other.granted(1))
            loser = asyncio.create_task(silent.granted(2))
            done, waiting = await asyncio.wait({winner, loser}, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()
            talk = other if winner in done else silent
            second = talk.grants[-1]
            assert second.fence > grant.fence and second.number == 2
            assert list(second.evict_attempt_ids) == [grant.attempt_id]
            await talk.settled(second)
            assert await running.state_of(migration) == "succeeded"

    run(body())


def test_a_restart_keeps_live_leases_and_gives_them_grace(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            talk = await running.talk(joined)
            migration = await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
        # Long gone by its own clock: nobody could renew it while the control plane was away.
        async with serving(tmp_path) as running:
            lease_now = running.plane.sessions.book.leases[grant.attempt_id]
            assert lease_now.expires_at >= running.plane.clock() + 55.0
            back = await running.talk(joined, incarnation=2, held=[held(grant, 5)])
            await back.say(heartbeat=pb.Heartbeat(held=[held(grant, 6)]))
            await back.hear_until(lambda: back.renewals)
            await back.settled(grant)
            assert await running.state_of(migration) == "succeeded"
            assert len(back.grants) == 0

    run(body())


def test_a_restart_after_everything_expired_revives_nothing_that_was_ended(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join())
            await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            await talk.settled(grant)
        async with serving(tmp_path) as running:
            assert running.plane.sessions.book.leases == {}

            def running_rows(tx: Tx) -> int:
                return len(tx.live_rows())

            assert await running.plane.store.read(running_rows) == 0

    run(body())


def test_a_graceful_stop_ends_streams_well_and_keeps_what_was_renewed(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, stop_grace_s=30.0) as running:
            talk = await running.talk(await running.join())
            watch = running.operators().WatchEvents(
                operator_pb2.WatchEventsRequest(follow=True), metadata=running.administrator
            )
            await anext(aiter(watch))
            await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            await talk.say(heartbeat=pb.Heartbeat(held=[held(grant, 42)]))
            await talk.hear_until(lambda: talk.renewals)
            while (await anext(aiter(watch))).type != "LeaseGranted":
                pass
            loop = asyncio.get_running_loop()
            began_at = loop.time()
            stopping = asyncio.create_task(running.plane.stop())
            assert await talk.status() == (grpc.StatusCode.OK, "")
            assert [event.type async for event in watch] == []
            await stopping
            # Nobody had to be cut off.
            assert loop.time() - began_at < 15.0
            assert not (tmp_path / "listening.json").exists()
            running.plane.stop = _nothing  # type: ignore[method-assign]
        async with serving(tmp_path) as running:
            (row,) = await running.plane.store.read(lambda tx: tx.live_rows())
            assert row.watermark == 42

    run(body(), bound_s=90.0)


async def _nothing() -> None:
    return None
