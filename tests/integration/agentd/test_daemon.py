"""The real daemon in its own process, over real mutual TLS, with real children."""

import asyncio
import json
from pathlib import Path

from haulier.v1 import agent_pb2 as pb

from tests.integration.agentd.world import until_gone, until_path, world


def test_a_granted_step_runs_and_its_result_is_acknowledged(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent()
            hello = it.listener.hellos[0]
            assert hello.incarnation == 1
            assert hello.slots == 2
            assert "echo" in hello.kinds
            await it.listener.grant("att_1", "echo", {"a": 1})
            result = await it.listener.result("att_1")
            assert result.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
            assert json.loads(result.result)["fence"] == 7
            assert result.fence == 7
            assert result.use.wall_s > 0
            assert result.use.rss_bytes_max > 0
            await until_path(it.attempt("att_1"), there=False)

    asyncio.run(story())


def test_a_child_outlives_its_daemon_and_is_adopted(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            first = await it.start_agent()
            done = tmp_path / "done"
            await it.listener.grant("att_1", "hold", {"until": str(done)})
            await until_path(it.attempt("att_1") / "holding")
            pid = it.child_pid("att_1")
            await it.kill(first)
            await it.start_agent()
            assert [held.attempt_id for held in it.listener.hellos[-1].held] == ["att_1"]
            assert it.listener.hellos[-1].incarnation == 2
            assert "att_1" not in it.listener.results
            done.touch()
            result = await it.listener.result("att_1")
            assert result.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
            await until_gone(pid)

    asyncio.run(story())
