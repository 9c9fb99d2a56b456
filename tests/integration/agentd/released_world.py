"""An agent that runs from a signed release with settings, and its upgrades by the real verifier and updater."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from haulier.v1 import agent_pb2 as pb
from haulier.v1 import kinds_pb2 as k

from tests.integration.agentd.world import World, world
from tests.kit.upgrading import Forge, UpgradingHost, real

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
            checks = tree / "lib" / "agentd" / "checks"
            (checks / "settings_check.py").write_text("def explained(directory):\n    return ''\n")

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
    before = len(it.listener.hellos)
    await asyncio.to_thread(act)
    await it.listener.until(lambda: len(it.listener.hellos) > before, f"a hello; its log is\n{log_of(it)}")
    return it.listener.hellos[-1]


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


async def outcome(it: World, attempt_id: str, place: Path | None = None) -> pb.AttemptResult:
    """How an extract of the exports, below the data or another place, ends."""
    root = place or it.directory / "data"
    exports = k.Datastore(name="exports", csv=k.CsvStore(root=str(root / "exports")))
    staging = k.Datastore(name="staging", parquet=k.ParquetStore(root=str(root / "staging")))
    source = k.DatasetLocation(dataset="d", datastore=exports, object="readings.csv", columns=COLUMNS)
    params = k.ExtractParams(source=source, staging=staging)
    await it.listener.grant(attempt_id, "extract", params.SerializeToString(), fence=1)
    return await it.listener.result(attempt_id)
