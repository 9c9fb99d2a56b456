"""Identities over the wire: renewed, taken away, copied with their machine, and had back."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from haulier.v1 import access_pb2, agent_pb2_grpc, operator_pb2
from haulier.v1 import agent_pb2 as pb

from controlplane.core.states import AgentState
from controlplane.identity.peers import identity_of
from controlplane.service.access.identities import RENEWALS_AN_HOUR_MAX
from controlplane.store.port import Tx
from tests.integration.controlplane.plane import CALL_S, Joined, Key, Running, Talk, refusal, serving
from tests.kit import reports
from tests.kit.builders import a_plan
from tests.kit.running import run, until

EXTRACT = a_plan(name="extract", kind="extract", target="staging/flights")
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


async def renew(running: Running, joined: Joined) -> Joined:
    """Trade an identity for a new one."""
    key = Key()
    stub = agent_pb2_grpc.AgentServiceStub(running.agents(joined))
    answer = await stub.RenewCertificate(pb.RenewCertificateRequest(csr_pem=key.request()), timeout=CALL_S)
    assert answer.ca_pem == running.ca
    return Joined(joined.id, key, answer.certificate_pem)


async def revoke(running: Running, name: str) -> None:
    stub = running.access()
    request = access_pb2.RevokeAgentRequest(agent=name, reason="its disk was sold")
    answer = await stub.RevokeAgent(request, timeout=CALL_S, metadata=running.administrator)
    assert answer.agent.state == "revoked: its disk was sold (by administrator)"


async def view(running: Running, name: str) -> operator_pb2.AgentView:
    listing = await running.ask("ListAgents", operator_pb2.ListAgentsRequest())
    found: operator_pb2.AgentView = next(agent for agent in listing.agents if agent.name == name)
    return found


def test_a_new_certificate_and_the_old_one_both_open_sessions(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, agent_certificate_ttl_s=600.0) as running:
            old = await running.join()
            new = await renew(running, old)
            shown = [identity_of(each.certificate_pem) for each in (old, new)]
            assert shown[0].serial != shown[1].serial
            for each in (new, old):
                talk = await running.talk(each)
                assert talk.welcome is not None
                # A third of its life before the end.
                assert 380.0 < talk.welcome.renew_in_s <= 401.0
            assert [event.type for event in await running.events(old.id)].count("CertificateRenewed") == 1

    run(body())


def test_nobody_fills_the_store_with_certificates(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            stub = agent_pb2_grpc.AgentServiceStub(running.agents(joined))
            request = pb.RenewCertificateRequest(csr_pem=Key().request())
            for _ in range(RENEWALS_AN_HOUR_MAX - 1):
                await stub.RenewCertificate(request, timeout=CALL_S)
            code, why = await refusal(stub.RenewCertificate(request, timeout=CALL_S))
            assert (code, "within an hour" in why) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)

    run(body())


def test_streams_of_every_kind_end_with_the_certificate(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            short = running.certify((await running.join()).id, ends_in_s=2.0)
            stub = agent_pb2_grpc.AgentServiceStub(running.agents(short))
            logs = stub.Logs()
            call = stub.RenewCertificate(pb.RenewCertificateRequest(csr_pem=Key().request()), timeout=CALL_S)
            assert (await call).certificate_pem
            assert await logs.code() is UNAUTHENTICATED
            # The connection lives on, and opens nothing.
            later = stub.RenewCertificate(pb.RenewCertificateRequest(csr_pem=Key().request()), timeout=CALL_S)
            assert (await refusal(later))[0] is UNAUTHENTICATED

    run(body())


def test_revocation_ends_everything_within_a_second(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            channel = running.agents(joined)
            talk, idle = await running.talk(joined, channel), agent_pb2_grpc.AgentServiceStub(channel).Logs()
            migration = await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            began = time.monotonic()
            await revoke(running, "host-1")
            code, why = await talk.status()
            took_s = time.monotonic() - began
            assert await idle.code() is UNAUTHENTICATED
            assert (code, "agent host-1 is revoked: its disk was sold" in why) == (UNAUTHENTICATED, True)
            reports.write("revocation", {"sessions_ended_s": round(took_s, 4), "limit_s": 1.0})
            assert took_s < 1.0
            # Its lease has ended as if it were lost, and another agent goes on under a higher fence.
            other = await running.talk(await running.join("host-2"))
            (again,) = await other.granted(1)
            assert (again.step_id, again.number, again.fence > grant.fence) == (grant.step_id, 2, True)
            await other.settled(again)
            assert await running.state_of(migration) == "succeeded"
            # On the old connection and on a new one, whatever it calls.
            for where in (channel, running.agents(joined)):
                stub = agent_pb2_grpc.AgentServiceStub(where)
                assert (await running.call(joined, where).status())[0] is UNAUTHENTICATED
                assert await stub.Logs().code() is UNAUTHENTICATED
                renewal = stub.RenewCertificate(pb.RenewCertificateRequest(csr_pem=Key().request()), timeout=CALL_S)
                assert (await refusal(renewal))[0] is UNAUTHENTICATED
            await revoke(running, "host-1")  # safe to repeat
            ended = [event.detail for event in await running.events(migration) if event.type == "LeaseExpired"]
            assert ended == ["agent_expelled: agent host-1 is revoked: its disk was sold (by administrator)"]

    run(body())


def test_a_restart_forgets_no_revocation(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            await revoke(running, "host-1")
        async with serving(tmp_path) as running:
            assert (await running.call(joined).status())[0] is UNAUTHENTICATED
            code, why = await refusal(
                running.ask("DrainAgent", operator_pb2.DrainAgentRequest(agent="host-1", reason="x"))
            )
            assert (code, "join again first" in why) == (FAILED_PRECONDITION, True)

    run(body())


def test_a_revoked_agent_comes_back_by_a_token_of_its_own(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            old = await running.join()
            # What the store does not know, as after a restored backup: revoked with its agent all the same.
            unknown = running.certify(old.id, ends_in_s=3600.0)
            talk = await running.talk(old, incarnation=7)
            await revoke(running, "host-1")
            await talk.status()
            assert (await running.call(unknown).status())[0] is UNAUTHENTICATED
            code, why = await refusal(running.enroll(agent_name="host-1", request_id="r2"))
            assert (code, "a token made for it" in why) == (grpc.StatusCode.PERMISSION_DENIED, True)
            key, token = Key(), await running.join_token("host-1")
            answer = await running.enroll(agent_name="host-1", request_id="r3", csr_pem=key.request(), token=token)
            assert answer.agent_id == old.id
            new = Joined(old.id, key, answer.certificate_pem)
            # Its journal may have gone with its disk: incarnations begin again.
            talk = await running.talk(new, incarnation=1)
            assert (await view(running, "host-1")).state == "serving"
            assert (await running.call(old).status())[0] is UNAUTHENTICATED
            types = [event.type for event in await running.events(old.id)]
            assert types.index("AgentRevoked") < types.index("AgentRejoined")

    run(body())


def test_a_living_agents_name_is_never_taken_over(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, lost_after_s=0.5, heartbeat_grace_s=0.1) as running:
            joined = await running.join()
            talk = await running.talk(joined)
            for number, token in enumerate([await running.join_token("host-1"), await running.join_token()]):
                code, why = await refusal(running.enroll(agent_name="host-1", request_id=f"r{number}", token=token))
                assert code is grpc.StatusCode.PERMISSION_DENIED, why
            await talk.say(heartbeat=pb.Heartbeat())
            assert (await view(running, "host-1")).state == "serving"
            # Once its daemon has stopped, its own token lets it begin anew; any other does not.
            talk.call.cancel()
            await running.gone(joined)

            async def silent() -> bool:
                return not (await view(running, "host-1")).liveness.startswith("alive")

            while not await silent():
                pass
            assert (await refusal(running.enroll(agent_name="host-1", request_id="r7")))[0] is not None
            token = await running.join_token("host-1")
            again = await running.enroll(agent_name="host-1", request_id="r8", token=token)
            assert again.agent_id == joined.id

    run(body())


def test_two_living_boots_of_one_identity_both_lose_it(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            first = await running.talk(joined, boot_id="boot-a", incarnation=3)
            second = await running.talk(joined, boot_id="boot-b", incarnation=4)
            assert (await first.status())[0] is grpc.StatusCode.ABORTED
            # The first machine lives, dials again, and answers its welcome.
            again = await running.talk(joined, boot_id="boot-a", incarnation=3)
            await again.say(heartbeat=pb.Heartbeat())
            for talk in (again, second):
                code, why = await talk.status()
                assert (code, "agent host-1 is cloned: two machines show its identity" in why) == (
                    UNAUTHENTICATED,
                    True,
                )
            assert (await view(running, "host-1")).state.startswith("cloned: two machines show its identity")
            # Refused before a word was said, whoever shows it.
            assert (await running.call(joined).status())[0] is UNAUTHENTICATED
            assert "AgentCloned" in [event.type for event in await running.events(joined.id)]
            token = await running.join_token("host-1")
            key = Key()
            await running.enroll(agent_name="host-1", request_id="r2", token=token, csr_pem=key.request())
            assert (await view(running, "host-1")).state == "serving"

    run(body())


def test_a_copy_with_an_older_journal_is_noticed_while_the_original_lives(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, heartbeat_s=0.1, heartbeat_grace_s=0.2) as running:
            joined = await running.join()
            original = await running.talk(joined, boot_id="boot-a", incarnation=3)
            copy = running.call(joined)
            await copy.say(hello=pb.Hello(incarnation=2, slots=1, boot_id="boot-b"))
            await copy.say(heartbeat=pb.Heartbeat())
            assert (await copy.status())[0] is FAILED_PRECONDITION
            began = running.plane.clock()
            await until(lambda: running.plane.clock() - began > 0.4, "an interval")
            await original.say(heartbeat=pb.Heartbeat())
            assert (await original.status())[0] is UNAUTHENTICATED
            assert (await view(running, "host-1")).state.startswith("cloned")

    run(body())


COPIES = ("/var/lib/haulier-agentd (1:5)", "/srv/copy (1:9)")


@pytest.mark.parametrize("incarnation", [2, 3, 4])
def test_a_copied_state_directory_on_the_same_boot_is_noticed_while_the_original_lives(
    tmp_path: Path, incarnation: int
) -> None:
    """Whatever its journal says: a copy begins with an incarnation above the original's."""

    async def body() -> None:
        async with serving(tmp_path, heartbeat_s=0.1, heartbeat_grace_s=0.2) as running:
            joined = await running.join()
            original = await running.talk(joined, boot_id="boot-a", incarnation=3, state_place=COPIES[0])
            copy = running.call(joined)
            hello = pb.Hello(incarnation=incarnation, slots=1, boot_id="boot-a", state_place=COPIES[1])
            await copy.say(hello=hello)
            await copy.say(heartbeat=pb.Heartbeat())
            code, why = await copy.status()
            assert code is FAILED_PRECONDITION
            assert all(place in why for place in COPIES), "the copy is told, and why"
            began = running.plane.clock()
            await until(lambda: running.plane.clock() - began > 0.4, "an interval")
            await original.say(heartbeat=pb.Heartbeat())
            code, why = await original.status()
            assert code is UNAUTHENTICATED
            assert all(place in why for place in COPIES), "so is the original"
            assert (await view(running, "host-1")).state.startswith("cloned: two daemons on one host show its identity")
            told = [event for event in await running.events(joined.id) if event.type == "AgentCloned"]
            assert all(place in told[0].detail for place in COPIES)

    run(body())


def test_the_log_tells_what_a_person_should_see(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "haulier.events")

    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            await running.talk(joined)
            await revoke(running, "host-1")
            lines = ["AgentJoined host-1", "AgentConnected host-1", "AgentRevoked host-1: its disk was sold"]

            def told_all() -> bool:
                return all(any(told.startswith(line) for told in caplog.messages) for line in lines)

            await until(told_all, "every line")
            assert not [told for told in caplog.messages if "CertificateRenewed" in told or "JoinToken" in told]
            assert {record.levelname for record in caplog.records if record.name == "haulier.events"} == {"INFO"}

    run(body())


def test_a_state_directory_that_was_moved_is_no_copy(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, heartbeat_s=0.1, heartbeat_grace_s=0.2) as running:
            joined = await running.join()
            before = await running.talk(joined, boot_id="boot-a", incarnation=3, state_place=COPIES[0])
            # The daemon was stopped, its stream is not closed yet, and the next daemon runs on the restored directory.
            early = running.call(joined)
            hello = pb.Hello(incarnation=4, slots=1, boot_id="boot-a", state_place=COPIES[1])
            await early.say(hello=hello)
            await early.say(heartbeat=pb.Heartbeat())
            assert (await early.status())[0] is FAILED_PRECONDITION
            before.call.cancel()
            await running.gone(joined)
            living = await running.talk(joined, boot_id="boot-a", incarnation=4, state_place=COPIES[1])
            began = running.plane.clock()
            await until(lambda: running.plane.clock() - began > 0.4, "an interval")
            await go_on(living)
            assert (await view(running, "host-1")).state == "serving"

    run(body())


def test_the_late_hello_of_an_earlier_boot_is_no_clone(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path, heartbeat_s=0.1, heartbeat_grace_s=0.2) as running:
            running.plane.agent_servicer.hello_s_max = 0.5
            joined = await running.join()
            living = await running.talk(joined, boot_id="boot-b", incarnation=3)
            # Said before the host went down, and read only now: nobody is there to answer the welcome.
            late = running.call(joined)
            await late.say(hello=pb.Hello(incarnation=2, slots=1, boot_id="boot-a"))
            assert (await late.status())[0] is FAILED_PRECONDITION
            began = running.plane.clock()
            await until(lambda: running.plane.clock() - began > 0.4, "an interval")
            await go_on(living)
            # Whoever answers may live here alone, and the host may boot again: then nothing goes on either.
            clone = running.call(joined)
            await clone.say(hello=pb.Hello(incarnation=2, slots=1, boot_id="boot-a"))
            await clone.say(heartbeat=pb.Heartbeat())
            assert (await clone.status())[0] is FAILED_PRECONDITION
            answered = running.plane.clock()
            booted = await running.talk(joined, boot_id="boot-c", incarnation=4)
            await until(lambda: running.plane.clock() - answered > 0.4, "an interval")
            await go_on(booted)
            assert (await view(running, "host-1")).state == "serving"

    run(body())


async def go_on(talk: Talk) -> None:
    """Say two heartbeats, each answered: what the first one set off has been done by then."""
    for number in (1, 2):
        await talk.say(heartbeat=pb.Heartbeat(held=[pb.HeldAttempt(attempt_id="att_unknown", fence=1)]))
        await talk.hear_until(lambda number=number: len(talk.cancels) == number)


def test_nobody_is_granted_work_whose_identity_is_durably_gone_though_memory_does_not_know_it(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            talk = await running.talk(joined)
            store, now = running.plane.store, running.plane.clock()

            def put(state: AgentState, incarnation: int) -> Callable[[Tx], None]:
                def write(tx: Tx) -> None:
                    agent = tx.agent(joined.id)
                    assert agent is not None
                    tx.put_agent(replace(agent, state=state, incarnation=incarnation), now)

                return write

            await running.start(EXTRACT)
            (first,) = await talk.granted(1)
            for number, (state, incarnation) in enumerate([(AgentState.REVOKED, 1), (AgentState.SERVING, 2)], start=2):
                await store.write(put(state, incarnation))
                await running.start(a_plan(name=f"p{number}", kind="extract", target=f"t{number}"), name=f"m{number}")
                running.plane.sessions.offers.offer_all()
                # Writes are made in order, so whatever was to be granted has been.
                await store.write(lambda tx: None)
                held = await store.read(lambda tx: [attempt.id for attempt in tx.live_of_agent(joined.id)])
                assert held == [first.attempt_id]
            await store.write(put(AgentState.SERVING, 1))
            running.plane.sessions.offers.offer_all()
            await talk.granted(3)

    run(body())


def test_a_reboot_is_no_clone(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            running.plane.agent_servicer.hello_s_max = 0.5
            joined = await running.join()
            await running.talk(joined, boot_id="boot-a", incarnation=1)
            rebooted = await running.talk(joined, boot_id="boot-b", incarnation=2)
            # The hello of the boot of before, which was under way when the host went down, arrives last.
            stale = await running.talk(joined, boot_id="boot-a", incarnation=1)
            assert (await stale.status())[0] is FAILED_PRECONDITION
            await rebooted.say(heartbeat=pb.Heartbeat())
            # The same daemon again, and the next daemon of this boot.
            for incarnation in (2, 3):
                again = await running.talk(joined, boot_id="boot-b", incarnation=incarnation)
            await again.say(heartbeat=pb.Heartbeat())
            assert (await view(running, "host-1")).state == "serving"

    run(body())


def test_after_a_boot_no_lease_is_handed_to_what_may_be_a_copy(tmp_path: Path) -> None:
    async def body() -> None:
        async with serving(tmp_path) as running:
            joined = await running.join()
            talk = await running.talk(joined, boot_id="boot-a")
            await running.start(EXTRACT)
            (grant,) = await talk.granted(1)
            # The same boot gets it again, because the grant may have been lost on the wire.
            same = await running.talk(joined, boot_id="boot-a")
            assert (await same.granted(1))[0].attempt_id == grant.attempt_id
            booted = await running.talk(joined, boot_id="boot-b", incarnation=2)
            await running.start(a_plan(name="other", kind="extract", target="elsewhere"), name="m2")
            (other,) = await booted.granted(1)
            assert other.attempt_id != grant.attempt_id

    run(body())
