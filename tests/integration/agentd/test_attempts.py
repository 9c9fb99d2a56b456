"""What happens to attempts in the real daemon: ends of every sort, cancels, evictions, output."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from haulier.v1 import agent_pb2 as pb

from tests.integration.agentd.listener import Listener
from tests.integration.agentd.world import CONFIG, World, cwd_of, until_gone, until_path, world
from tests.kit.mounting import can_mount


@pytest.mark.parametrize(
    ("how", "outcome", "code"),
    [
        ("step", pb.ATTEMPT_OUTCOME_FAILED, "no_such_table"),
        ("fenced", pb.ATTEMPT_OUTCOME_FENCED, "fenced"),
        ("exit", pb.ATTEMPT_OUTCOME_FAILED, "child_lost"),
    ],
)
def test_every_sort_of_failure_is_told(tmp_path: Path, how: str, outcome: pb.AttemptOutcome, code: str) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent()
            await it.listener.grant("att_1", "fail", {"how": how})
            result = await it.listener.result("att_1")
            assert result.outcome == outcome
            assert result.failure.code == code
            assert result.failure.message
            assert result.result == (b"half" if how == "step" else b"")

    asyncio.run(story())


def test_a_killed_child_is_told_with_its_signal(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent()
            os.kill(await holding(it, "att_1"), signal.SIGKILL)
            result = await it.listener.result("att_1")
            assert result.failure.code == "child_lost"
            assert "SIGKILL" in result.failure.message

    asyncio.run(story())


def test_an_unforeseen_failure_is_one_line_and_shows_no_secret(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent(SMALL_SECRET="tr0ub4dor&3")
            it.listener.acknowledging = False
            await it.listener.grant("att_1", "fail", {"how": "internal"})
            result = await it.listener.result("att_1")
            assert result.failure.code == "internal"
            assert "\n" not in result.failure.message
            assert "RuntimeError" in result.failure.message
            await it.listener.until(lambda: "att_1" in it.listener.logs_ended, "the output")
            assert b"raise RuntimeError" in it.listener.logs["att_1"], "the owner of the host sees where it broke"
            told = [path for path in it.state.rglob("*") if path.is_file()]
            assert len(told) > 5
            for path in told:
                assert b"tr0ub4dor" not in path.read_bytes(), path
            assert b"tr0ub4dor" not in it.listener.logs["att_1"] + result.SerializeToString()
            assert "tr0ub4dor" not in it.log_text()

    asyncio.run(story())


def test_a_cancelled_step_stops_by_itself(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent()
            await holding(it, "att_1")
            await it.listener.cancel("att_1")
            result = await it.listener.result("att_1")
            assert result.outcome == pb.ATTEMPT_OUTCOME_CANCELLED
            assert "told to" in result.failure.message

    asyncio.run(story())


@pytest.mark.parametrize("stopped", [False, True])
def test_a_deaf_step_is_killed_with_everything_it_started(tmp_path: Path, stopped: bool) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent()
            it.listener.acknowledging = False
            pid = await holding(it, "att_1", deaf=True, helper=True)
            helper = int((it.attempt("att_1") / "stdout").read_text().split()[-1])
            if stopped:
                os.kill(pid, signal.SIGSTOP)
            await it.listener.cancel("att_1")
            result = await it.listener.result("att_1")
            assert result.outcome == pb.ATTEMPT_OUTCOME_CANCELLED
            assert result.use.wall_s > 0
            assert cwd_of(pid) is None
            assert cwd_of(helper) is None

    asyncio.run(story())


def test_a_successor_on_another_agent_evicts_a_stopped_holder(tmp_path: Path) -> None:
    async def story() -> None:
        for name in ("one", "two"):
            (tmp_path / name).mkdir(mode=0o700)
        async with world(tmp_path / "one") as first, world(tmp_path / "two") as second:
            zombie_daemon = await first.start_agent()
            await second.start_agent()
            zombie = await holding(first, "att_1")
            os.kill(zombie, signal.SIGSTOP)
            visitor = await asyncio.create_subprocess_exec("sleep", "600", cwd=first.attempt("att_1"))
            second.processes.append(visitor)
            zombie_daemon.send_signal(signal.SIGSTOP)
            await second.listener.grant("att_2", "echo", fence=8, number=2, evict_attempt_ids=["att_1"])
            result = await second.listener.result("att_2")
            assert result.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
            await until_gone(zombie)
            assert visitor.returncode is None, "who only looks around there is spared"
            assert cwd_of(visitor.pid) == first.attempt("att_1")
            zombie_daemon.send_signal(signal.SIGCONT)
            late = await first.listener.result("att_1")
            assert late.failure.code == "child_lost"

    asyncio.run(story())


def test_only_a_renewed_lease_permits_destruction(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, heartbeat_s=0.2) as it:
            it.listener.renewing = False
            await it.start_agent()
            await it.listener.grant("att_1", "destroy")
            await it.listener.until(lambda: "att_1" in it.listener.started, "the start")
            beats = it.listener.beats
            await it.listener.until(lambda: it.listener.beats > beats + 2, "heartbeats")
            assert not (it.attempt("att_1") / "point").exists()
            it.listener.renewing = True
            result = await it.listener.result("att_1")
            assert result.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED

    asyncio.run(story())


def test_a_child_sees_only_the_environment_that_the_host_lists(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, config=CONFIG + 'environment = ["LISTED"]\n') as it:
            await it.start_agent(SMALL_SECRET="hidden", UNLISTED="x", LISTED="y")
            await it.listener.grant("att_1", "environment")
            names = json.loads((await it.listener.result("att_1")).result)
            assert "LISTED" in names
            assert "PATH" in names
            assert not {"UNLISTED", "SMALL_SECRET"} & set(names)

    asyncio.run(story())


def test_progress_and_use_reach_the_control_plane(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent()
            await holding(it, "att_1", moves=5)

            def moved() -> bool:
                return "att_1" in it.listener.progress and it.listener.progress["att_1"].watermark > 5

            await it.listener.until(moved, "progress")
            assert it.listener.progress["att_1"].stage == "holding"
            beats = it.listener.beats
            await it.listener.until(lambda: it.listener.beats >= beats + 3, "heartbeats beside a busy step")

    asyncio.run(story())


def test_output_is_shipped_to_its_end(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent()
            await it.listener.grant("att_1", "print", {"lines": 1000})
            await it.listener.until(lambda: "att_1" in it.listener.logs_ended, "the output")
            lines = it.listener.logs["att_1"].decode().splitlines()
            assert lines == [f"line {n:07}" for n in range(1000)]
            await until_path(it.attempt("att_1"), there=False)

    asyncio.run(story())


def test_too_much_output_loses_its_middle_and_says_so(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent()
            await it.listener.grant("att_1", "print", {"lines": 200_000})
            await it.listener.until(lambda: "att_1" in it.listener.logs_ended, "the output")
            shipped = it.listener.logs["att_1"]
            assert shipped.startswith(b"line 0000000\nline 0000001\n")
            assert shipped.endswith(b"line 0199998\nline 0199999\n")
            assert it.listener.dropped_bytes > 0
            assert len(shipped) + it.listener.dropped_bytes == 200_000 * 13

    asyncio.run(story())


def test_refused_output_of_one_attempt_does_not_stop_the_others(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent()
            it.listener.logs_refused.add("att_1")
            await it.listener.grant("att_1", "print", {"lines": 10})
            await it.listener.grant("att_2", "print", {"lines": 10})
            await it.listener.until(lambda: "att_2" in it.listener.logs_ended, "the other output")
            assert len(it.listener.logs["att_2"]) == 130
            await until_path(it.attempt("att_1"), there=False)

    asyncio.run(story())


def test_an_undo_is_given_the_forward_result(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent()
            await it.listener.grant("att_1", "echo", direction=pb.DIRECTION_UNDO, forward_result=b"fine")
            assert (await it.listener.result("att_1")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
            await it.listener.grant("att_2", "echo", direction=pb.DIRECTION_UNDO, forward_result=b"cannot")
            assert (await it.listener.result("att_2")).failure.code == "undo_failed"

    asyncio.run(story())


def test_a_child_stops_where_the_fault_switch_says(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent(HAULIER_STOP_AT="destroy:destroyed")
            await it.listener.grant("att_1", "destroy")
            await until_path(it.attempt("att_1") / "point")
            assert (it.attempt("att_1") / "point").read_text() == "destroyed"
            await it.listener.grant("att_2", "destroy", number=2)
            assert (await it.listener.result("att_2")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
            assert "att_1" not in it.listener.results
            os.kill(it.child_pid("att_1"), signal.SIGCONT)
            assert (await it.listener.result("att_1")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED

    asyncio.run(story())


async def holding(it: World, attempt_id: str, listener: Listener | None = None, **orders: object) -> int:
    """Let an attempt hold until `released` is there; returns its process id."""
    until = str(it.directory / "released")
    await (listener or it.listener).grant(attempt_id, "hold", {"until": until, **orders})
    await until_path(it.attempt(attempt_id) / "holding")
    return it.child_pid(attempt_id)


@pytest.mark.skipif(not can_mount(), reason="this machine lets nobody mount a small disk: run as root")
def test_no_room_for_an_attempts_own_files_is_named(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            attempts = it.state / "attempts"
            attempts.mkdir()
            small = 'mount -t tmpfs -o size=16k none "$0" && exec "$@"'
            it.command = ["unshare", "--mount", "sh", "-c", small, str(attempts), *it.command]
            await it.start_agent()
            await it.listener.grant("att_1", "echo", b"x" * 40_000)
            failure = (await it.listener.result("att_1")).failure
            assert (failure.code, failure.retryable) == ("disk_full", True)
            assert str(attempts / "att_1") in failure.message
            assert "of 16.4 kB are free" in failure.message
            assert "state directory" in failure.hint

    asyncio.run(story())
