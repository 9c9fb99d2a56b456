"""Daemons, listeners and runner hosts that come and go while steps run."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from haulier.v1 import agent_pb2 as pb

from agentd.supervision import status_socket
from tests.integration.agentd.test_attempts import holding
from tests.integration.agentd.world import CONFIG, ROOT, World, cwd_of, until_gone, until_path, world


def test_a_result_is_told_until_it_is_acknowledged(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, heartbeat_s=0.1) as it:
            it.listener.acknowledging = False
            await it.start_agent()
            await it.listener.grant("att_1", "echo")
            await it.listener.until(lambda: it.listener.times_told.get("att_1", 0) >= 3, "the result, again and again")
            it.listener.acknowledging = True
            await until_path(it.attempt("att_1"), there=False)

    asyncio.run(story())


def test_a_result_survives_the_daemon(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            it.listener.acknowledging = False
            first = await it.start_agent()
            await it.listener.grant("att_1", "echo")
            result = await it.listener.result("att_1")
            await it.kill(first)
            it.listener.results.clear()
            await it.start_agent()
            assert not it.listener.hellos[-1].held
            assert await it.listener.result("att_1") == result

    asyncio.run(story())


def test_a_step_that_ends_without_control_plane_is_told_when_it_is_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent()
            pid = await holding(it, "att_1")
            await it.listener.stop()
            (tmp_path / "released").touch()
            await until_gone(pid)
            await it.listener.start()
            assert (await it.listener.result("att_1")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
            assert {hello.incarnation for hello in it.listener.hellos} == {1}

    asyncio.run(story())


def test_a_child_that_died_while_no_daemon_ran_is_reported_lost(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            first = await it.start_agent()
            pid = await holding(it, "att_1", helper=True)
            helper = int((it.attempt("att_1") / "stdout").read_text().split()[-1])
            await it.kill(first)
            os.kill(pid, signal.SIGKILL)
            await until_gone(pid)
            await it.start_agent()
            assert (await it.listener.result("att_1")).failure.code == "child_lost"
            assert cwd_of(helper) is None, "nothing of it is left"

    asyncio.run(story())


def test_an_adopted_child_can_be_cancelled(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            first = await it.start_agent()
            await holding(it, "att_1", deaf=True)
            await it.kill(first)
            await it.start_agent()
            await it.listener.until(
                lambda: len(it.listener.hellos) == 2 and it.listener.beats > 2, "the second session"
            )
            await it.listener.cancel("att_1")
            assert (await it.listener.result("att_1")).outcome == pb.ATTEMPT_OUTCOME_CANCELLED

    asyncio.run(story())


def test_a_child_outlives_its_runner_host_and_the_next_step_gets_a_new_one(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent()
            pid = await holding(it, "att_1")
            host = (await told(it))["runner_pid"]
            os.kill(host, signal.SIGKILL)
            await it.listener.grant("att_2", "echo")
            assert (await it.listener.result("att_2")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
            assert cwd_of(pid) == it.attempt("att_1")
            (tmp_path / "released").touch()
            assert (await it.listener.result("att_1")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED

    asyncio.run(story())


def test_a_runner_host_that_dies_between_fork_and_answer_leaves_one_child(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent(SMALL_DIES_UNTIL=str(tmp_path / "mark"))
            pid = await holding(it, "att_1")
            await it.listener.until(lambda: "att_1" in it.listener.started, "the start")
            (tmp_path / "released").touch()
            assert (await it.listener.result("att_1")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
            assert it.log_text().count("ended attempt=att_1") == 1
            await until_gone(pid)

    asyncio.run(story())


def test_an_idle_runner_host_ends_and_comes_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, config=CONFIG + "runner_idle_s = 0.2\n") as it:
            await it.start_agent()
            await it.listener.grant("att_1", "echo")
            host = json.loads((await it.listener.result("att_1")).result)["pid"]
            await until_gone(host)
            async with asyncio.timeout(20):
                while (pid := (await told(it))["runner_pid"]) is not None:
                    await until_gone(pid)
            await it.listener.grant("att_2", "echo")
            assert (await it.listener.result("att_2")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED

    asyncio.run(story())


def test_a_stop_leaves_running_steps_alone(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            first = await it.start_agent()
            pid = await holding(it, "att_1")
            first.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(first.wait(), 20) == 0
            assert cwd_of(pid) == it.attempt("att_1")
            await it.start_agent()
            (tmp_path / "released").touch()
            assert (await it.listener.result("att_1")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED

    asyncio.run(story())


def test_a_stop_waits_for_a_short_step(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, config=CONFIG.replace("drain_on_stop_s = 0", "drain_on_stop_s = 60")) as it:
            agent = await it.start_agent()
            await holding(it, "att_1")
            agent.send_signal(signal.SIGTERM)
            # A grant that overtakes the signal is run, and rightly so.
            await until_line(it, "asked to stop")
            await it.listener.grant("att_2", "echo")
            assert (await it.listener.result("att_2")).failure.code == "agent_stopping"
            (tmp_path / "released").touch()
            assert (await it.listener.result("att_1")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
            assert await asyncio.wait_for(agent.wait(), 20) == 0

    asyncio.run(story())


def test_a_changed_configuration_is_taken_over_without_disturbing_a_step(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent()
            pid = await holding(it, "att_1")
            it.config.write_text("slotz = 3\n")
            await until_line(it, "did you mean slots?")
            it.config.write_text(CONFIG.replace("slots = 2", "slots = 3") + '[labels]\nzone = "b"\n')
            await it.listener.until(lambda: it.listener.hellos[-1].slots == 3, "the new hello")
            assert dict(it.listener.hellos[-1].labels) == {"zone": "b"}
            assert [held.attempt_id for held in it.listener.hellos[-1].held] == ["att_1"]
            it.policy.write_text('kinds = ["hold"]\ndatastores = ["warehouse"]\n')
            await it.listener.until(lambda: list(it.listener.hellos[-1].kinds) == ["hold"], "the new policy")
            await it.listener.grant("att_2", "echo")
            assert (await it.listener.result("att_2")).failure.code == "kind_refused"
            assert it.child_pid("att_1") == pid
            (tmp_path / "released").touch()
            assert (await it.listener.result("att_1")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED

    asyncio.run(story())


def test_drain_survives_a_restart(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            first = await it.start_agent()
            await it.listener.say(directives=[pb.Directive(drain=pb.Drain(reason="maintenance"))])
            async with asyncio.timeout(20):
                while not (await told(it))["draining"]:
                    pass
            first.send_signal(signal.SIGTERM)
            await asyncio.wait_for(first.wait(), 20)
            await it.start_agent()
            assert it.listener.hellos[-1].draining

    asyncio.run(story())


def test_two_daemons_cannot_share_a_state_directory(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            first = await it.start_agent()
            code, output = await finished(it, "run", "--config", str(it.config))
            assert code == 3
            assert f"in use by process {first.pid}" in output
            assert "Traceback" not in output
            assert output.count("\n") == 1

    asyncio.run(story())


def test_check_tells_ready_from_live(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            assert (await finished(it, "check", "--probe", "liveness"))[0] == 2
            agent = await it.start_agent()
            await it.listener.until(lambda: it.listener.beats > 0, "the first heartbeat")
            code, output = await finished(it, "check")
            assert (code, [line.split(":")[0] for line in output.splitlines()]) == (0, ["configuration", "policy"])
            assert "connected to 127.0.0.1" in await command(it, "status")
            await it.listener.stop()
            async with asyncio.timeout(20):
                while (await told(it))["connected"]:
                    pass
            code, output = await finished(it, "check")
            assert code == 1
            assert "not ready: no session" in output
            assert (await finished(it, "check", "--probe", "liveness"))[0] == 0
            agent.send_signal(signal.SIGSTOP)
            code, output = await finished(it, "check", "--probe", "liveness")
            assert code == 2
            assert "hangs" in output
            await it.listener.start()

    asyncio.run(story())


def test_probes_and_the_service_manager_are_told(tmp_path: Path) -> None:
    async def story() -> None:
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
            socket.create_server(("127.0.0.1", 0)) as free,
        ):
            manager.bind(str(tmp_path / "notify"))
            manager.setblocking(False)
            port = free.getsockname()[1]
            free.close()
            probed = CONFIG + f'[probe]\naddress = "127.0.0.1:{port}"\n'
            async with world(tmp_path, config=probed) as it:
                agent = await it.start_agent(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000")
                loop = asyncio.get_running_loop()

                async def until_told(text: bytes) -> None:
                    async with asyncio.timeout(20):
                        while text not in await loop.sock_recv(manager, 4096):
                            pass

                await until_told(b"READY=1")
                await until_told(b"STATUS=connected")
                await until_told(b"WATCHDOG=1")
                async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                    health = health_pb2_grpc.HealthStub(channel)
                    ready = health_pb2.HealthCheckRequest(service="haulier.v1.AgentService")
                    assert (await health.Check(ready)).status == health_pb2.HealthCheckResponse.SERVING
                    await it.listener.stop()
                    await until_told(b"STATUS=connecting")
                    assert (await health.Check(ready)).status == health_pb2.HealthCheckResponse.NOT_SERVING
                    live = await health.Check(health_pb2.HealthCheckRequest())
                    assert live.status == health_pb2.HealthCheckResponse.SERVING
                    with pytest.raises(grpc.aio.AioRpcError, match="no such service"):
                        await health.Check(health_pb2.HealthCheckRequest(service="other"))
                agent.send_signal(signal.SIGTERM)
                await until_told(b"STOPPING=1")
                await it.listener.start()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("broken", "text", "said"),
    [
        ("config", "slotz = 1\n", "did you mean slots?"),
        ("config", "policy = [\n", "is not TOML"),
        ("policy", 'kindz = ["*"]\n', "did you mean 'kinds'?"),
        ("identity", "{", "join again"),
        ("journal", "this is not a database, but it is long enough to look at" * 20, "cannot be opened as a journal"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(tmp_path: Path, broken: str, text: str, said: str) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            files = {
                "config": it.config,
                "policy": it.policy,
                "identity": it.state / "identity.json",
                "journal": it.state / "journal.db",
            }
            files[broken].write_text(text)
            code, output = await finished(it, "run", "--config", str(it.config))
            assert code == 3
            assert said in output
            assert output.count("\n") == 1

    asyncio.run(story())


async def finished(it: World, verb: str, *arguments: str) -> tuple[int, str]:
    """Run a command of the agent; returns its exit code and everything it wrote."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agentd",
        verb,
        "--state",
        str(it.state),
        *arguments,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, output.decode()


async def told(it: World) -> dict[str, Any]:
    """What the daemon says of itself."""
    return await asyncio.to_thread(status_socket.ask, it.state, 20.0)


async def command(it: World, verb: str, *arguments: str) -> str:
    """What a command that works prints."""
    code, output = await finished(it, verb, *arguments)
    assert code == 0, output
    return output


async def until_line(it: World, text: str) -> None:
    """Wait for a line in the agent's log."""
    async with asyncio.timeout(20):
        while text not in it.log_text():
            await told(it)
