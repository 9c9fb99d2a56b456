"""An attempt begins once, and as the attempt that was granted, whatever dies between its grant and its first step."""

import asyncio
import shutil
from pathlib import Path

import pytest
from haulier.v1 import agent_pb2 as pb

from tests.integration.agentd import dying
from tests.integration.agentd.listener import WAIT_S
from tests.integration.agentd.world import World, world

# What only decides, or only tells, leaves nothing behind between two points.
WHERE = frozenset(
    {"batching", "journal", "runner", "host_client", "attempt_files", "stopping", "cgroups", "fork_server"}
)


@pytest.mark.timeout(600)
def test_a_daemon_killed_anywhere_before_a_step_runs_loses_no_attempt(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            # Between a return and the next call nothing happens.
            points = [point for point in await points_of(it, dying.FOR) if point.endswith(":call")]
            assert len(points) > 20, points
            for number, point in enumerate([*points, ""]):
                attempt_id, before = f"att_{number + 1}", f"att_{number}"
                agent = await it.start_agent(**dying_for(it, attempt_id, point))
                if number:
                    await was_not_lost(it, before, points[number - 1])
                await it.listener.grant(attempt_id, "echo")
                if point:
                    await asyncio.wait_for(agent.wait(), WAIT_S)

    asyncio.run(story())


async def was_not_lost(it: World, attempt_id: str, point: str) -> None:
    """The attempt that was granted to the daemon before is run by this one."""
    if attempt_id not in [held.attempt_id for held in it.listener.hellos[-1].held]:
        # It had not reached the journal: the control plane sends the very same lease again.
        await it.listener.grant(attempt_id, "echo")
    result = await it.listener.result(attempt_id)
    assert result.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED, (point, result.failure)


@pytest.mark.timeout(600)
def test_a_runner_host_killed_anywhere_before_a_step_runs_loses_no_attempt(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            points = await points_of(it, dying.HOST_FOR)
            assert len(points) > 5, points
            for number, point in enumerate(points):
                attempt_id = f"att_{number + 1}"
                agent = await it.start_agent(**dying_for(it, attempt_id, point, dying.HOST_FOR))
                await it.listener.grant(attempt_id, "echo")
                result = await it.listener.result(attempt_id)
                assert result.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED, (point, result.failure)
                assert it.log_text().count(f"ended attempt={attempt_id} ") == 1
                await it.kill(agent)

    asyncio.run(story())


def test_an_attempt_of_another_boot_does_not_begin(tmp_path: Path) -> None:
    """Another machine may have begun it: a journal that was copied says nothing of that."""

    async def story() -> None:
        async with world(tmp_path) as it:
            point = "attempt_files.AttemptDirectory.create:call"
            agent = await it.start_agent(**dying_for(it, "att_1", point))
            await it.listener.grant("att_1", "echo")
            await asyncio.wait_for(agent.wait(), WAIT_S)
            journal = it.state / "journal.db"
            shutil.copy(journal, tmp_path / "copied")
            (tmp_path / "copied").replace(journal)
            await it.start_agent()
            failure = (await it.listener.result("att_1")).failure
            assert failure.code == "child_lost"
            assert "had not begun" in failure.message

    asyncio.run(story())


async def points_of(it: World, whose: str) -> list[str]:
    """Every point that a daemon, or its runner host, passes until an attempt runs."""
    agent = await it.start_agent(**dying_for(it, "att_0", "", whose))
    await it.listener.grant("att_0", "echo")
    assert (await it.listener.result("att_0")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
    await it.kill(agent)
    found = (it.directory / "points").read_text().split()
    return [point for point in found if point.split(".")[0] in WHERE]


def dying_for(it: World, attempt_id: str, at: str, whose: str = dying.FOR) -> dict[str, str]:
    """What tells a daemon or its runner host to die at a point of one attempt's beginning, or to write them down."""
    return {whose: attempt_id, dying.AT: at, dying.POINTS: str(it.directory / "points")}
