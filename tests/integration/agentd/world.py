"""One listener, one agent process, their files: everything a test of the daemon needs, ended by process id."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import watchfiles

from agentd.isolation import cgroups
from tests.integration.agentd.listener import WAIT_S, Listener

ROOT = Path(__file__).parents[3]
POLICY = 'kinds = ["*"]\ndatastores = ["*"]\nroots = ["/"]\nsecrets = ["env:SMALL_*"]\n'
CONFIG = 'policy = "policy.toml"\nslots = 2\nstop_grace_s = 1\ndrain_on_stop_s = 0\n'


class World:
    """A listener and the state directory of one agent."""

    def __init__(self, directory: Path, listener: Listener) -> None:
        self.listener = listener
        self.directory = directory
        self.state = directory / "state"
        self.config = directory / "agent.toml"
        self.policy = directory / "policy.toml"
        self.processes: list[asyncio.subprocess.Process] = []
        self.command = [sys.executable, str(Path(__file__).with_name("agent_process.py"))]
        self.options = [str(self.state), str(self.config)]
        self.python_path = [str(ROOT), str(ROOT / "proto")]
        self.log = directory / "agent.log"

    def attempt(self, attempt_id: str) -> Path:
        """The directory of an attempt."""
        return self.state / "attempts" / attempt_id

    def child_pid(self, attempt_id: str) -> int:
        """The process of an attempt."""
        return int(json.loads((self.attempt(attempt_id) / "child").read_text())["pid"])

    async def start_agent(self, **environment: str) -> asyncio.subprocess.Process:
        """Start a daemon and wait until it said Hello."""
        hellos = len(self.listener.hellos)
        process = await self.spawn(**environment)
        await self.listener.until(lambda: len(self.listener.hellos) > hellos, f"a hello; its log is\n{self.log_text()}")
        return process

    async def spawn(self, **environment: str) -> asyncio.subprocess.Process:
        """Start a daemon."""
        with self.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self.command,
                *self.options,
                env=os.environ | environment | {"PYTHONPATH": os.pathsep.join(self.python_path)},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def use_installed_kinds(self, *within: str, interpreter: str = sys.executable) -> None:
        """From the next start on run the agent as it is installed, with its own step kinds, `within` a command."""
        self.command = [*within, interpreter, "-m", "agentd", "run"]
        self.options = ["--state", str(self.state), "--config", str(self.config)]

    async def kill(self, process: asyncio.subprocess.Process) -> None:
        """Kill a daemon without warning."""
        process.kill()
        await asyncio.wait_for(process.wait(), WAIT_S)

    def log_text(self) -> str:
        """What the daemons wrote so far."""
        return self.log.read_text() if self.log.exists() else ""

    async def end(self) -> None:
        """End every process that this world started, children of attempts included."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        for child in (self.state / "attempts").glob("*/child"):
            told = json.loads(child.read_text())
            if "pid" in told and cwd_of(told["pid"]) == child.parent:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(told["pid"], signal.SIGKILL)
        # A daemon that was killed could not put its control groups away.
        grouped = cgroups.find(cgroups.name_for(self.state), make=False)
        for attempt in (self.state / "attempts").glob("*"):
            await asyncio.to_thread(grouped.end, attempt.name)
        grouped.close()


def cwd_of(pid: int) -> Path | None:
    """The working directory of a process that still lives."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:
        return None


@contextlib.asynccontextmanager
async def world(directory: Path, policy: str = POLICY, config: str = CONFIG, **listener: Any) -> AsyncIterator[World]:
    """A listener that listens and a state directory that joined it."""
    await asyncio.to_thread(directory.chmod, 0o700)
    opened = Listener(**listener)
    await opened.start()
    made = World(directory, opened)
    opened.write_state(made.state)
    made.policy.write_text(policy)
    made.config.write_text(config)
    try:
        yield made
    finally:
        await made.end()
        await opened.stop()


async def until_path(path: Path, there: bool = True) -> None:
    """Wait until another process made (or removed) a path; its parent's parent must exist."""
    async with asyncio.timeout(WAIT_S):
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        looks = watchfiles.awatch(path.parent, yield_on_timeout=True, rust_timeout=200, debounce=20, step=10)
        async for _ in looks:
            if os.path.lexists(path) is there:  # noqa: ASYNC240 - one quick look
                return


async def until_gone(pid: int) -> None:
    """Wait for the end of a process that is not ours to reap."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(watched, ended.set)
    try:
        await asyncio.wait_for(ended.wait(), WAIT_S)
    finally:
        asyncio.get_running_loop().remove_reader(watched)
        os.close(watched)
