"""A real daemon of an agent, at a control plane inside the test."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from agentd.link import identity_files
from agentd.link.join import join
from controlplane.identity.peers import identity_of
from tests.integration.controlplane.plane import Running

ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def a_daemon(running: Running, directory: Path) -> AsyncIterator[Path]:
    """A joined host whose daemon runs; yields its state directory."""
    state = directory / "state"
    (directory / "policy.toml").write_text('kinds = ["*"]\ndatastores = ["*"]\nroots = []\n')
    (directory / "agent.toml").write_text('policy = "policy.toml"\nslots = 1\n')
    await asyncio.to_thread(join, await running.join_token(), "host-1", state)
    command = [sys.executable, "-m", "agentd", "run", "--state", str(state), "--config", str(directory / "agent.toml")]
    with (directory / "agent.log").open("ab") as log:
        daemon = await asyncio.create_subprocess_exec(
            *command, env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'proto'}"}, stdout=log, stderr=log
        )
    try:
        yield state
    finally:
        daemon.terminate()
        await asyncio.wait_for(daemon.wait(), 20.0)


def serial_of(state: Path) -> str:
    """The certificate in place."""
    return identity_of(identity_files.load(state).pair()[2]).serial
