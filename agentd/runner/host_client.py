"""The daemon's side of the runner host: starts it when it is needed and asks it to fork."""

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentd.installation.own_python import module_command, search_path
from agentd.policy.kinds import KindRule
from agentd.runner.child import ENVIRONMENT_KEPT

log = logging.getLogger(__name__)

_GREETING_WAIT_S = 60.0
_FORK_WAIT_S = 30.0
_END_WAIT_S = 5.0
# A host may go idle and end at the very moment it is asked, or be killed while it loads; the next one does it then.
_TRIES = 3
# Read by the loader, the allocator and the interpreter before any code of ours runs.
_LOADER = ("LD_", "MALLOC_", "PYTHON")


class HostFailed(Exception):
    """No runner host could be started, or it could not fork."""


class _HostGone(Exception):
    """The runner host ended before it answered."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a runner host says first: the step kinds it found, and what could not be loaded."""

    kinds: Mapping[str, KindRule]
    problems: tuple[str, ...]


def _greeting(told: Mapping[str, Any]) -> Greeting:
    rules = {
        name: KindRule(frozenset(rule["allowed_with"]), rule["needs_programs"]) for name, rule in told["kinds"].items()
    }
    return Greeting(rules, tuple(told["problems"]))


@dataclass(slots=True)
class _Host:
    process: subprocess.Popen[bytes]
    writer: asyncio.StreamWriter
    greeting: Greeting
    waiting: dict[str, asyncio.Future[int]]
    reading: asyncio.Task[None] | None = None


def _shown_environment() -> dict[str, str]:
    """What a runner host is started with.

    A process goes on showing what it was started with, and so do its forks: a secret in there could be read off steps
    that have no business with it. All the rest is told over the socket.
    """
    return {name: os.environ[name] for name in os.environ if name in ENVIRONMENT_KEPT or name.startswith(_LOADER)}


class HostClient:
    """Starts runner hosts for one agent. Methods are called on one loop."""

    def __init__(self, attempts: Path, idle_s: float, command: Sequence[str] | None = None) -> None:
        self._attempts = attempts
        self._idle_s = idle_s
        # A process with arguments of its own: a module, so that the same installation is used.
        self._command = tuple(command or module_command("agentd.runnerhost"))
        self._host: _Host | None = None
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The runner host's process id while one runs."""
        return None if self._host is None else self._host.process.pid

    async def kinds(self) -> Greeting:
        """Step kinds that can run here; starts a host to find out. Raises HostFailed."""
        for _ in range(_TRIES):
            with contextlib.suppress(_HostGone):
                return (await self._running()).greeting
        raise HostFailed("the runner host was killed each time before it came up")

    async def fork(self, attempt_id: str) -> int:
        """Fork a child for the attempt whose directory is ready; returns its pid. Raises HostFailed."""
        for _ in range(_TRIES):
            with contextlib.suppress(_HostGone):
                return await self._forked_by(await self._running(), attempt_id)
        raise HostFailed("the runner host ended each time it was asked to fork")

    async def _forked_by(self, host: _Host, attempt_id: str) -> int:
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        host.waiting[attempt_id] = answer
        try:
            host.writer.write(json.dumps({"fork": attempt_id}).encode("ascii") + b"\n")
            return await asyncio.wait_for(answer, _FORK_WAIT_S)
        except TimeoutError as error:
            raise HostFailed("the runner host did not answer in time") from error
        finally:
            host.waiting.pop(attempt_id, None)

    async def close(self) -> None:
        """Hang up: the host ends, its children do not."""
        host, self._host = self._host, None
        if host is not None:
            host.writer.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.to_thread(host.process.wait), _END_WAIT_S)
            if host.reading is not None:
                await host.reading

    async def _running(self) -> _Host:
        async with self._starting:
            if self._host is None:
                self._host = await self._start()
            return self._host

    async def _start(self) -> _Host:
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.to_thread(self._spawn, theirs.fileno())
        except OSError as error:
            ours.close()
            raise HostFailed(f"the runner host cannot be started: {error.strerror}") from error
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours)
        writer.write(json.dumps({"environment": dict(os.environ)}).encode("ascii") + b"\n")
        try:
            line = await asyncio.wait_for(reader.readline(), _GREETING_WAIT_S)
            told = json.loads(line)
        except TimeoutError as error:
            writer.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise HostFailed(f"the runner host did not come up within {_GREETING_WAIT_S:g} s") from error
        except (ValueError, ConnectionError) as error:
            writer.close()
            if await asyncio.to_thread(process.wait) < 0:
                raise _HostGone from error
            raise HostFailed("the runner host did not come up; its reason is in the daemon's output") from error
        host = _Host(process, writer, _greeting(told), {})
        host.reading = asyncio.get_running_loop().create_task(self._read(host, reader))
        return host

    def _spawn(self, partner: int) -> subprocess.Popen[bytes]:
        """Start the host's process.

        By subprocess, because that uses vfork: the event loop's own way is a fork, and grpc's handlers for
        forks
        may bring down the new process before it becomes another program."""
        return subprocess.Popen(
            [
                *self._command,
                f"--partner={partner}",
                f"--attempts={self._attempts}",
                f"--idle={self._idle_s}",
            ],
            stdin=subprocess.DEVNULL,
            pass_fds=[partner],
            # Signals for the daemon's group (Ctrl-C in a terminal) are not meant for running steps.
            start_new_session=True,
            env={**_shown_environment(), "PYTHONPATH": search_path()},
        )

    async def _read(self, host: _Host, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                self._answered(host, json.loads(line))
        if self._host is host:
            self._host = None
        host.writer.close()
        for answer in host.waiting.values():
            if not answer.done():
                answer.set_exception(_HostGone())
        await asyncio.to_thread(host.process.wait)

    def _answered(self, host: _Host, told: dict[str, Any]) -> None:
        answer = host.waiting.get(str(told["attempt_id"]))
        if answer is None or answer.done():
            return
        if "pid" in told:
            answer.set_result(int(told["pid"]))
        else:
            answer.set_exception(HostFailed(str(told["error"])))
