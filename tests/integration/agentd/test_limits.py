"""The host's limits in the real daemon: a greedy step ends by its limit's own name, and nothing of it is left."""

import asyncio
import json
import os
from pathlib import Path

import pytest
from haulier.v1 import agent_pb2 as pb

from agentd.isolation import cgroups
from tests.integration.agentd.world import POLICY, cwd_of, world

CGROUPS = cgroups.find("haulier-test", make=False).groups


@pytest.mark.parametrize(
    ("what", "limit", "code"),
    [
        ("memory", "memory_bytes_max = 150_000_000", "memory_limit"),
        ("time", "run_s_max = 1", "time_limit"),
        ("time", "cpu_s_max = 1", "cpu_limit"),
        ("disk", "written_bytes_max = 50_000_000", "written_limit"),
        ("time", "rows_max = 1000", "rows_limit"),
    ],
)
def test_a_greedy_step_ends_by_the_name_of_its_limit(tmp_path: Path, what: str, limit: str, code: str) -> None:
    async def story() -> None:
        async with world(tmp_path, policy=f"{POLICY}{limit}\n") as it:
            agent = await it.start_agent()
            await it.listener.grant("att_1", "greedy", {"what": what})
            told = await it.listener.result("att_1")
            assert told.outcome == pb.ATTEMPT_OUTCOME_FAILED
            assert told.failure.code == code, told
            assert limit.split()[0] in told.failure.message + told.failure.hint
            if code == "memory_limit":
                assert told.use.memory_limit_bytes == 150_000_000
            await it.listener.grant("att_2", "echo")
            assert (await it.listener.result("att_2")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
            assert agent.returncode is None, "only the step was lost"

    asyncio.run(story())


@pytest.mark.skipif("pids" not in CGROUPS, reason="no control group for processes can be made here")
def test_a_step_has_only_so_many_processes_and_none_is_left(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, policy=f"{POLICY}processes_max = 20\n") as it:
            await it.start_agent()
            await it.listener.grant("att_1", "greedy", {"what": "processes"})
            told = await it.listener.result("att_1")
            assert told.outcome == pb.ATTEMPT_OUTCOME_FAILED
            assert not [pid for pid in pids() if cwd_of(pid) == it.attempt("att_1")]

    asyncio.run(story())


@pytest.mark.skipif(not CGROUPS, reason="no control group can be made here")
def test_what_began_its_own_session_ends_with_its_cgroup(tmp_path: Path) -> None:
    """Killed at once, a step can end nothing; its cgroup does, and is removed."""

    async def story() -> None:
        async with world(tmp_path) as it:
            agent = await it.start_agent()
            await it.listener.grant("att_1", "hold", {"until": "/nothing", "deaf": True, "daemon": True})
            await it.listener.until(lambda: "att_1" in it.listener.started, "the step")
            await it.listener.until(lambda: b"helper" in it.listener.logs.get("att_1", b""), "its helper")
            helper = int(it.listener.logs["att_1"].split()[-1])
            groups = [each for each in groups_of(helper) if "att_1" in each]
            assert groups
            await it.listener.grant("att_2", "echo", number=2, fence=8, evict_attempt_ids=["att_1"])
            assert (await it.listener.result("att_1")).outcome == pb.ATTEMPT_OUTCOME_FENCED
            assert cwd_of(helper) is None
            await it.listener.result("att_2")
            own = [group.parent / cgroups.name_for(it.state) for group in set(CGROUPS.values())]
            assert not [group for group in own if (group / "att_1").exists()]
            assert [group for group in own if group.exists()]
            agent.terminate()
            await agent.wait()
            assert not [group for group in own if group.exists()], "nor does the agent leave anything"

    asyncio.run(story())


@pytest.mark.skipif("cpu" not in CGROUPS, reason="no control group for processors can be made here")
def test_a_step_that_would_take_every_core_is_held_back(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path, policy=f"{POLICY}cores_max = 0.1\nio_bytes_per_s_max = 1000000\n") as it:
            await it.start_agent()
            await it.listener.grant("att_1", "greedy", {"what": "time"})
            await it.listener.until(lambda: "att_1" in it.listener.started, "the step")
            cgroup = CGROUPS["cpu"].parent / cgroups.name_for(it.state) / "att_1"
            async with asyncio.timeout(30):
                while not throttled(cgroup):
                    await it.listener.until(lambda seen=it.listener.beats: it.listener.beats > seen, "a heartbeat")
            for name in ("io.max", "blkio.throttle.write_bps_device"):
                file = CGROUPS.get("io", cgroup).parent / cgroups.name_for(it.state) / "att_1" / name
                assert not file.exists() or " 1000000" in file.read_text() or "wbps=1000000" in file.read_text()
            await it.listener.cancel("att_1")
            assert (await it.listener.result("att_1")).outcome == pb.ATTEMPT_OUTCOME_CANCELLED

    asyncio.run(story())


def throttled(cgroup: Path) -> int:
    """How often the kernel made the processes in a cgroup wait."""
    told = dict(line.split() for line in (cgroup / "cpu.stat").read_text().splitlines())
    return int(told["nr_throttled"])


def test_status_says_which_limits_are_enforced(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as it:
            await it.start_agent()
            asked = await asyncio.create_subprocess_exec(
                *(it.command[0], "-m", "agentd", "status", "--state", str(it.state)),
                env=os.environ | {"PYTHONPATH": os.pathsep.join(it.python_path)},
                stdout=asyncio.subprocess.PIPE,
            )
            out, _ = await asked.communicate()
            for controller in cgroups.CONTROLLERS:
                wanted = "enforced" if controller in CGROUPS else "not enforced: "
                assert f"{controller:12} limit {wanted}" in out.decode()

    asyncio.run(story())


def test_where_there_is_no_cgroup_it_is_said_and_why() -> None:
    nothing = cgroups.Cgroups(reasons={"memory": "not here"})
    assert nothing.told()["memory"] == "not here"
    assert nothing.make("att_1") == {} and not nothing.memory_ran_out("att_1")
    assert json.dumps(nothing.told())


def pids() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]


def groups_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cgroup").read_text().splitlines()
