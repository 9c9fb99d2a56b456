"""Settings that ride with releases, by the real verifier, updater and agent: they count, and go back with the code."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import kinds_pb2 as k

from tests.integration.agentd.world import World, world
from tests.kit.upgrading import Forge, UpgradingHost, real

pytestmark = pytest.mark.timeout(600)

BOUND_S = 240.0
PROBATION_S = 3.0
COLUMNS = [k.Column(name="id", type=k.COLUMN_TYPE_INT64)]


def bringing(policy: str, configuration: str = "", unjudged: bool = False) -> Callable[[Path], None]:
    """The tree of a release of this very code with these settings; `unjudged`: its own check finds nothing."""

    def change(tree: Path) -> None:
        (tree / "settings").mkdir()
        (tree / "settings" / "policy.toml").write_text(policy)
        if configuration:
            (tree / "settings" / "agent.toml").write_text(configuration)
        if unjudged:
            (tree / "lib" / "agentd" / "settings_check.py").write_text("def explained(directory):\n    return ''\n")

    return real(change)


def policy_of(root: Path, *kinds: str) -> str:
    """A policy with datastores for files below a directory."""
    listed = ", ".join(f'"{each}"' for each in kinds)
    return f'kinds = [{listed}]\ndatastores = ["exports", "staging"]\nroots = ["{root}"]\n'


@asynccontextmanager
async def upgrading(
    directory: Path, own_policy: str, first: Callable[[Path], None]
) -> AsyncIterator[tuple[World, UpgradingHost]]:
    """An agent that runs from a release, with a session."""
    config = 'policy = "policy.toml"\nslots = 3\nstop_grace_s = 1\ndrain_on_stop_s = 0\n'
    async with world(directory, own_policy, config, heartbeat_s=0.5) as it:
        root = it.directory / "data"
        (root / "exports").mkdir(parents=True)
        (root / "staging").mkdir()
        (root / "exports" / "readings.csv").write_text("id\n1\n2\n")
        host = UpgradingHost(directory, Forge(directory / "forge"), directory)
        await asyncio.to_thread(lambda: host.install(host.forge.release("0.1.0", first)))
        try:
            await restarted(it, lambda: host.service("restart"))
            yield it, host
        finally:
            await asyncio.to_thread(host.end)


async def restarted(it: World, act: Callable[[], object]) -> pb.Hello:
    """Do what starts the agent anew; returns its hello."""
    before = len(it.door.hellos)
    await asyncio.to_thread(act)
    await it.door.until(lambda: len(it.door.hellos) > before, f"a hello; its log is\n{log_of(it)}")
    return it.door.hellos[-1]


def log_of(it: World) -> str:
    """What the agent wrote."""
    return it.log_text()[-4000:]


async def upgrade(it: World, host: UpgradingHost, version: str, make: Callable[[Path], None]) -> str:
    """Ask for a release and let it end; returns its digest."""

    def ask() -> str:
        built = host.forge.release(version, make)
        host.fetch(built)
        host.ask(built, PROBATION_S)
        host.apply()
        return built.digest

    digest = await asyncio.to_thread(ask)
    async with asyncio.timeout(BOUND_S):
        while await asyncio.to_thread(host.settle, 1) != "idle":
            pass
    assert host.faults() == []
    return digest


async def outcome(it: World, attempt_id: str) -> pb.AttemptResult:
    """How an extract of the exports ends."""
    root = it.directory / "data"
    exports = k.Datastore(name="exports", csv=k.CsvStore(root=str(root / "exports")))
    staging = k.Datastore(name="staging", parquet=k.ParquetStore(root=str(root / "staging")))
    source = k.DatasetLocation(dataset="d", datastore=exports, object="readings.csv", columns=COLUMNS)
    params = k.ExtractParams(source=source, staging=staging)
    await it.door.grant(attempt_id, "extract", params.SerializeToString(), fence=1)
    return await it.door.result(attempt_id)


def test_settings_ride_with_releases_and_go_back_with_them(tmp_path: Path) -> None:
    asyncio.run(riding(tmp_path))


def test_the_hosts_own_law_counts_before_any_release(tmp_path: Path) -> None:
    asyncio.run(owning(tmp_path))


async def riding(tmp_path: Path) -> None:
    root = tmp_path / "data"
    first = bringing(policy_of(root, "validate"), 'slots = 9\n[labels]\ntier = "one"\n')
    async with upgrading(tmp_path, "from_release = true\n", first) as (it, host):
        hello = it.door.hellos[-1]
        assert (list(hello.kinds), hello.slots) == (["validate"], 3), "the host's slots count"
        assert dict(hello.labels) == {"tier": "one"}
        refused = await outcome(it, "att_before")
        assert refused.failure.code == "kind_refused", refused

        # Nothing but the settings changes.
        second = bringing(policy_of(root, "validate", "extract"), '[labels]\ntier = "two"\n')
        good = await upgrade(it, host, "0.1.1", second)
        assert (host.told()["state"], host.runs()) == ("kept", good), host.told()
        hello = it.door.hellos[-1]
        assert list(hello.kinds) == ["extract", "validate"]
        assert dict(hello.labels) == {"tier": "two"}
        assert (await outcome(it, "att_after")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
        assert f"versions/{good}/settings/policy.toml, because {it.policy} says from_release" in log_of(it)

        # Signed all the same: whoever built it had an agent that judges nothing.
        bad = await upgrade(it, host, "0.1.2", bringing("kinds = 'all'\n", unjudged=True))
        told = host.told()
        assert (told["state"], told["wanted_digest"], told["digest"]) == ("rolled_back", bad, good), told
        assert told["cause_code"] in ("crashed", "selftest_failed"), told
        assert host.runs() == good
        await it.door.until(lambda: list(it.door.hellos[-1].kinds) == ["extract", "validate"], "a hello")
        assert (await outcome(it, "att_again")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED


async def owning(tmp_path: Path) -> None:
    root = tmp_path / "data"
    first = bringing(policy_of(root, "*"))
    async with upgrading(tmp_path, policy_of(root, "validate"), first) as (it, host):
        assert list(it.door.hellos[-1].kinds) == ["validate"]
        assert (await outcome(it, "att_own")).failure.code == "kind_refused"
        # The owner gives the word, and takes it back: no restart is needed.
        it.policy.write_text("from_release = true\n")
        await it.door.until(lambda: "extract" in it.door.hellos[-1].kinds, "a hello")
        assert (await outcome(it, "att_given")).outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED
        it.policy.write_text(policy_of(root, "validate"))
        # Each step asks the host's own file, whatever the daemon has noticed.
        assert (await outcome(it, "att_taken")).failure.code in ("kind_refused", "policy_refused")
        del host
