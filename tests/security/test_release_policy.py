"""A signed release brings a policy that allows everything, and the control plane that chose it was taken over: on a
host that did not say `from_release` nothing of that policy counts, whatever is said, chosen or written."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import kinds_pb2 as k

from tests.integration.agentd.released_world import bringing, outcome, policy_of, upgrade, upgrading
from tests.integration.agentd.world import World

pytestmark = pytest.mark.timeout(600)

REFUSED = ("kind_refused", "policy_refused")


def test_a_hostile_control_plane_cannot_make_a_releases_policy_count(tmp_path: Path) -> None:
    asyncio.run(siege(tmp_path))


def wide_open(tmp_path: Path) -> str:
    """A policy that allows every step everywhere, and a program that leaves a mark."""
    program = tmp_path / "say"
    program.write_text(f'#!/bin/sh\ntouch "{tmp_path}/mark"\n')
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    return f"""{policy_of(tmp_path, "*")}
[programs.say]
path = "{program}"
sha256 = "{digest}"
arguments = []
safe_to_repeat = "it says it again"
undo = ""
writes = ["{tmp_path}"]
"""


async def siege(tmp_path: Path) -> None:
    host_policy = policy_of(tmp_path / "data", "extract", "load")
    outside = tmp_path / "outside"
    (outside / "exports").mkdir(parents=True)
    (outside / "staging").mkdir()
    (outside / "exports" / "readings.csv").write_text("id\n1\n")
    wide = wide_open(tmp_path)
    async with upgrading(tmp_path, host_policy, bringing(wide)) as (it, host):
        await assault(it, outside, "first")
        # It chooses another signed release, whose policy is as wide, and whose configuration would name another policy.
        named = f'policy = "{host.home}/current/settings/policy.toml"\n'
        for version, configuration, ends in (("0.1.1", "slots = 9\n", "kept"), ("0.1.2", named, "rolled_back")):
            await upgrade(it, host, version, bringing(wide, configuration, unjudged=True))
            assert host.told()["state"] == ends, host.told()
            await assault(it, outside, ends)
        assert it.policy.read_text() == host_policy
        assert "from_release" not in it.log_text()


async def assault(it: World, outside: Path, name: str) -> None:
    """What only the release's policy allows is refused; what the host's own allows still works."""
    assert list(it.listener.hellos[-1].kinds) == ["clean_up", "extract", "load"]
    assert (await outcome(it, f"att_outside_{name}", outside)).failure.code in REFUSED
    program = k.RunProgramParams(program="say").SerializeToString()
    await it.listener.grant(f"att_program_{name}", "run_program", program, fence=1)
    assert (await it.listener.result(f"att_program_{name}")).failure.code in REFUSED
    assert not (it.directory / "mark").exists()
    assert not any((outside / "staging").iterdir())
    good = await outcome(it, f"att_honest_{name}")
    assert good.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED, good
    # The host's own file cannot be replaced by one that leaves the word to the release.
    staged = k.ExtractResult.FromString(good.result).output
    store = k.Datastore(name="staging", csv=k.CsvStore(root=str(it.policy.parent)))
    columns = [k.Column(name="from_release", type=k.COLUMN_TYPE_INT64)]
    there = k.DatasetLocation(dataset="d", datastore=store, object=it.policy.name, columns=columns)
    load = k.LoadParams(input=staged, destination=there, if_exists=k.IF_EXISTS_REPLACE)
    await it.listener.grant(f"att_policy_{name}", "load", load.SerializeToString(), fence=1)
    told = await it.listener.result(f"att_policy_{name}")
    assert told.failure.code == "policy_refused", told
