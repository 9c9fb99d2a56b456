"""What the agents' listener lets in, over real mutual TLS: certificates, messages, numbers, output."""

from pathlib import Path

import grpc
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import agent_pb2_grpc, operator_pb2

from controlplane.identity.authority import CertificateAuthority
from tests.integration.controlplane.plane import Joined, Key, Talk, a_hello, refusal, serving
from tests.kit.builders import a_plan
from tests.kit.running import run, until

EXTRACT = a_plan(name="extract", kind="extract", target="staging/flights")
LOAD = a_plan(name="load", kind="load", needs=("extract",))


def held(grant: pb.LeaseGrant, watermark: int = 0) -> pb.HeldAttempt:
    """What an agent says of a lease that it holds."""
    return pb.HeldAttempt(attempt_id=grant.attempt_id, fence=grant.fence, watermark=watermark)


def test_an_agent_reaches_only_its_own_leases(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join("host-1"))
            migration = await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            other = await running.talk(await running.join("host-2"))
            await other.settled(grant)
            assert await running.state_of(migration) == "running"
            assert "LateResult" not in [event.type for event in await running.events(migration)]
            await other.say(heartbeat=pb.Heartbeat(held=[held(grant)]))
            await other.hear_until(lambda: other.cancels)
            assert other.cancels[0].reason == "this agent holds no such lease"
            assert not other.renewals

    run(body())


def test_nobody_without_our_certificate_gets_in(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            foreign = CertificateAuthority.create(now=0.0, serial=1)
            key = Key()
            certificate = foreign.issue_agent(
                key.request(), agent_id=joined.id, agent_name="host-1", not_before_at=0.0, not_after_at=4e9, serial=2
            )
            for channel in (running.agents(), running.agents(Joined(joined.id, key, certificate))):
                talk = Talk(agent_pb2_grpc.AgentServiceStub(channel).Session())
                code, _ = await talk.status()
                assert code is grpc.StatusCode.UNAVAILABLE
            assert not running.plane.sessions.by_agent

    run(body())


def test_a_certificate_for_an_agent_that_is_not_registered_is_refused(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            stranger = running.certify("ag_ffff", ends_in_s=3600.0)
            talk = running.call(stranger)
            await talk.say(hello=a_hello())
            assert await talk.status() == (grpc.StatusCode.FAILED_PRECONDITION, "agent ag_ffff is not enrolled here")
            assert not running.plane.agent_servicer._open

    run(body())


def test_a_session_ends_with_its_certificate(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            # Whole seconds: a certificate's end has no fraction.
            short = running.certify(joined.id, ends_in_s=3.0)
            talk = await running.talk(short)
            code, why = await talk.status()
            assert code is grpc.StatusCode.UNAUTHENTICATED
            assert why == "the agent's certificate has ended: join again with a token made for this agent's name"
            await running.gone(joined)

    run(body())


def test_messages_that_no_agent_sends_end_the_stream_in_words(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            for hello, words in (
                (None, "the first message of a session must carry hello"),
                (a_hello(incarnation=0), "hello.incarnation must be 1 to"),
                (a_hello(incarnation=2**63), "hello.incarnation must be 1 to"),
                (a_hello(slots=0), "hello.slots must be 1 to 1024, not 0"),
                (a_hello(slots=5000), "hello.slots must be 1 to 1024, not 5000"),
                (a_hello(kinds=[str(n) for n in range(10_001)]), "hello names more than 10000 kinds"),
            ):
                talk = running.call(joined)
                await talk.say(hello=hello)
                code, why = await talk.status()
                assert (code, words in why) == (grpc.StatusCode.INVALID_ARGUMENT, True), why
            assert not running.plane.agent_servicer._open
            talk = await running.talk(joined)
            await talk.say(results=[pb.AttemptResult(attempt_id="att_1_1", fence=1)])
            code, why = await talk.status()
            assert (code, why) == (grpc.StatusCode.INVALID_ARGUMENT, "result of att_1_1 has the unknown outcome 0")
            talk = await running.talk(joined)
            impossible = pb.AttemptResult(attempt_id="att_1_1", fence=2**64 - 1, outcome=pb.ATTEMPT_OUTCOME_SUCCEEDED)
            await talk.say(results=[impossible])
            assert (await talk.status())[1] == f"result of att_1_1 has the impossible fence {2**64 - 1}"

    run(body())


def test_numbers_beyond_the_store_cannot_stop_the_renewals_of_others(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join())
            await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            huge = 2**64 - 1
            progress = pb.AttemptProgress(
                attempt_id=grant.attempt_id, fence=grant.fence, watermark=huge, total=huge, done_bytes=huge
            )
            sample = pb.HostSample(cpu_fraction=float("nan"), memory_used_bytes=huge)
            await talk.say(progress=[progress], heartbeat=pb.Heartbeat(held=[held(grant, huge)], sample=sample))
            await talk.hear_until(lambda: talk.renewals)
            await running.plane.sessions.flush()
            use = pb.ResourceUse(wall_s=float("nan"), cpu_s=float("inf"), rss_bytes_max=huge)
            await talk.settled(grant, use=use, result=b"\xff no extract result")
            shown = await running.ask("GetMigration", operator_pb2.GetMigrationRequest(migration="m1"))
            assert shown.steps[0].attempts[0].watermark == 2**63 - 1
            assert shown.steps[0].attempts[0].use.rss_bytes_max == huge
            (row,) = (await running.ask("ListMigrations", operator_pb2.ListMigrationsRequest())).migrations
            assert (row.state, row.staged_bytes) == ("succeeded", 0)
            (agent,) = (await running.ask("ListAgents", operator_pb2.ListAgentsRequest())).agents
            assert (agent.sample.cpu_fraction, agent.sample.memory_used_bytes) == (0.0, huge)

    run(body())


def test_a_stream_that_says_nothing_is_ended(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            running.plane.agent_servicer.hello_s_max = 0.2
            code, why = await running.call(await running.join()).status()
            assert (code, why) == (grpc.StatusCode.DEADLINE_EXCEEDED, "no hello came within 0.2 s")
            await until(lambda: not running.plane.agent_servicer._open, "the end of the stream")

    run(body())


def test_an_agents_message_has_a_size(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            talk = await running.talk(await running.join())
            await talk.report(pb.LeaseGrant(attempt_id="att_1_1", fence=1), result=bytes(64 * 1024 * 1024))
            code, why = await talk.status()
            assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "larger than max (" in why and "vs. 131072" in why

    run(body())


def test_output_of_attempts_is_kept_and_only_for_their_agent(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join("host-1")
            talk = await running.talk(joined)
            await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            logs = agent_pb2_grpc.AgentServiceStub(running.agents(joined)).Logs()
            await logs.write(pb.LogsRequest(attempt_id=grant.attempt_id, data=b"one\n"))
            await logs.write(pb.LogsRequest(attempt_id=grant.attempt_id, data=b"one\n"))
            await logs.write(pb.LogsRequest(attempt_id=grant.attempt_id, offset=4, data=b"two\n", last=True))
            assert [(await anext(aiter(logs))).stored_offset for _ in range(3)] == [4, 4, 8]
            await logs.done_writing()
            tail = running.operators().TailLogs(
                operator_pb2.TailLogsRequest(attempt_id=grant.attempt_id, follow=True), metadata=running.administrator
            )
            assert b"".join([piece.data async for piece in tail]) == b"one\ntwo\n"
            other = agent_pb2_grpc.AgentServiceStub(running.agents(await running.join("host-2"))).Logs()
            await other.write(pb.LogsRequest(attempt_id=grant.attempt_id, data=b"three"))
            code, why = await refusal(anext(aiter(other)))
            assert (code, why) == (
                grpc.StatusCode.PERMISSION_DENIED,
                f"attempt {grant.attempt_id} is not this agent's",
            )

    run(body())
