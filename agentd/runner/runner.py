"""Runs attempts for the daemon: start, adopt, watch, stop, forget. Tells what happens as core events."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from agentd.core.events import ChildAdopted, ChildEnded, ChildEvent, ChildProgressed, ChildStarted
from agentd.core.grants import Failure, Grant, Outcome, OutcomeKind, Progress, ResourceUse
from agentd.disk.free_space import free_words, is_full
from agentd.isolation.cgroups import Cgroups
from agentd.isolation.rlimits import failure_of
from agentd.journal.encoding import Undecodable
from agentd.processes.identity import ProcessIdentity, boot_id, boottime, identify, is_alive
from agentd.runner.attempt_files import ATTEMPTS, AttemptDirectory, ChildSettings, Deadlines, Spec
from agentd.runner.host_client import HostClient, HostFailed
from agentd.runner.resource_use import UseMeter
from agentd.runner.stopping import EvictionFailed, end_session, evict, signal_group

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_ENDED_ALONE = "it ended while no daemon ran"
_NEVER_BEGAN = "it had not begun when its daemon ended, and since then the host booted or its state was copied"


@dataclass(slots=True)
class _Watched:
    """A child that is being watched. `gone` is set when none of its processes is left."""

    grant: Grant
    files: AttemptDirectory
    who: ProcessIdentity
    meter: UseMeter
    pidfd: int = -1
    progress: Progress = field(default_factory=Progress)
    gone: asyncio.Event = field(default_factory=asyncio.Event)


def _child_or_burial(files: AttemptDirectory) -> ProcessIdentity | None:
    """The attempt's child; where there is none, there will never be one after this."""
    files.bury()
    return files.read_child()


def _succeeded(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome.kind is not OutcomeKind.FAILED


class Runner:
    """Processes of one agent's attempts. Every method is called on one loop."""

    def __init__(
        self,
        state: Path,
        host: HostClient,
        settings: Callable[[], ChildSettings],
        tell: Callable[[ChildEvent], None],
        cgroups: Cgroups | None = None,
    ) -> None:
        self._cgroups = cgroups or Cgroups()
        self._attempts = state / ATTEMPTS
        self._host = host
        self._settings = settings
        self._tell = tell
        self._watched: dict[str, _Watched] = {}
        self._starting: dict[str, asyncio.Event] = {}
        self._looking: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._in_order = ThreadPoolExecutor(1, thread_name_prefix="deadlines")

    def files_of(self, attempt_id: str) -> AttemptDirectory:
        """The files of an attempt."""
        return AttemptDirectory(self._attempts / attempt_id)

    def pids(self) -> list[int]:
        """Process ids of the children that are watched."""
        return [watched.who.pid for watched in self._watched.values()]

    async def start(self, grant: Grant) -> None:
        """Evict whom the grant names, then start its child. Tells ChildStarted or ChildEnded."""
        with self._being_started(grant.attempt_id):
            await self._begin(grant)

    async def _begin(self, grant: Grant) -> None:
        try:
            evicted = await evict(grant.evict_attempt_ids)
            if evicted:
                log.warning("evicted processes %s of earlier attempts for %s", evicted, grant.attempt_id)
            files = self.files_of(grant.attempt_id)
            grouped = await asyncio.to_thread(self._cgroups.make, grant.attempt_id)
            await asyncio.to_thread(files.create, Spec(grant, replace(self._settings(), cgroups=grouped)))
            pid = await self._host.fork(grant.attempt_id)
            who = identify(pid) or ProcessIdentity(pid, 0, boot_id())
        except (OSError, EvictionFailed) as error:
            self._tell_not_started(grant, error)
            return
        except HostFailed as error:
            # A host that did not answer may have forked all the same: the directory knows.
            found = await asyncio.to_thread(_child_or_burial, files)
            if found is None:
                self._tell_not_started(grant, error)
                return
            who = found
        self._tell(ChildStarted(grant.attempt_id))
        self._watch(grant, files, who)

    def _tell_not_started(self, grant: Grant, error: Exception) -> None:
        message = f"the attempt's process cannot be started: {error}"
        failure = Failure("start_failed", message, "see the agent's log on its host", retryable=True)
        if isinstance(error, OSError) and is_full(error):
            place = self._attempts / grant.attempt_id
            message = f"the attempt's directory cannot be written: no space left at {place}: {free_words(place)}"
            hint = "Free space on the file system of the agent's state directory; then retry."
            failure = Failure("disk_full", message, hint, retryable=True)
        outcome = Outcome(grant.attempt_id, grant.fence, OutcomeKind.FAILED, failure=failure)
        self._tell(ChildEnded(grant.attempt_id, outcome, ResourceUse()))

    async def adopt(self, grant: Grant, may_begin: bool) -> None:
        """Find the child that an earlier daemon started. Where that daemon ended before there was one, the attempt
        begins now if it `may_begin`. Tells ChildAdopted, ChildStarted or ChildEnded."""
        with self._being_started(grant.attempt_id):
            files = self.files_of(grant.attempt_id)
            who = await asyncio.to_thread(files.read_child if may_begin else partial(_child_or_burial, files))
            if who is None and may_begin:
                # The earlier daemon's runner host may fork one all the same: whichever claims the directory is the
                # attempt's child, and the other one ends at once.
                log.info("attempt %s had not begun when its daemon ended; it begins now", grant.attempt_id)
                await self._begin(grant)
                return
            if who is None or not is_alive(who):
                if who is not None:
                    await end_session(who)
                detail = _ENDED_ALONE if who is not None else _NEVER_BEGAN
                self._tell(await self._ended_event(grant, files, ResourceUse(), detail))
                return
            progress = await asyncio.to_thread(files.read_progress) or Progress()
            self._tell(ChildAdopted(grant.attempt_id, who.started_at, progress))
            self._watch(grant, files, who)

    async def stop(self, attempt_id: str, reason: str, at_once: bool, grace_s: float) -> None:
        """Stop the attempt's processes; ChildEnded is told when none is left."""
        starting = self._starting.get(attempt_id)
        if starting is not None:
            await starting.wait()
        watched = self._watched.get(attempt_id)
        if watched is None:
            return
        if not at_once:
            await asyncio.to_thread(watched.files.ask_to_stop, reason)
            signal_group(watched.who, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(watched.gone.wait(), grace_s)
                return
        # Looked up anew: meanwhile another process may have turned out to be the attempt's child.
        signal_group(self._watched.get(attempt_id, watched).who, signal.SIGKILL)
        await watched.gone.wait()

    async def write_deadlines(self, attempt_id: str, deadlines: Deadlines) -> None:
        """Tell a child its deadlines; nothing happens for an attempt without directory.

        Written in the order of the calls, so that an older deadline never replaces a newer one."""
        write = self.files_of(attempt_id).write_deadlines
        with contextlib.suppress(FileNotFoundError):
            await asyncio.get_running_loop().run_in_executor(self._in_order, write, deadlines)

    async def forget(self, attempt_id: str) -> None:
        """Remove the attempt's directory."""
        await asyncio.to_thread(shutil.rmtree, self._attempts / attempt_id, ignore_errors=True)

    async def forget_strangers(self, known: set[str]) -> None:
        """Remove directories of attempts that nobody remembers and whose child is gone."""
        await asyncio.to_thread(self._cgroups.sweep, known)
        found = await asyncio.to_thread(lambda: [each.name for each in self._attempts.glob("*")])
        for attempt_id in set(found) - known:
            who = await asyncio.to_thread(self.files_of(attempt_id).read_child)
            if who is None or not is_alive(who):
                await self.forget(attempt_id)

    async def close(self) -> None:
        """Stop watching; children live on."""
        if self._looking is not None:
            self._looking.cancel()
        for watched in list(self._watched.values()):
            self._unwatch(watched)
        if self._ending:
            await asyncio.wait(self._ending, timeout=5.0)
        await self._host.close()
        self._in_order.shutdown(wait=False)

    # Watching.

    @contextlib.contextmanager
    def _being_started(self, attempt_id: str) -> Iterator[None]:
        self._starting[attempt_id] = asyncio.Event()
        try:
            yield
        finally:
            self._starting.pop(attempt_id).set()

    def _watch(self, grant: Grant, files: AttemptDirectory, who: ProcessIdentity) -> None:
        watched = _Watched(grant, files, who, UseMeter(who, boottime()))
        before = self._watched.get(grant.attempt_id)
        if before is not None:
            watched.gone = before.gone
        self._watched[grant.attempt_id] = watched
        try:
            watched.pidfd = os.pidfd_open(who.pid)
        except ProcessLookupError:
            self._on_exit(watched)
            return
        if not is_alive(who):
            # Gone, or its pid is somebody else's already.
            self._on_exit(watched)
            return
        asyncio.get_running_loop().add_reader(watched.pidfd, self._on_exit, watched)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look())

    def _unwatch(self, watched: _Watched) -> None:
        if watched.pidfd >= 0:
            asyncio.get_running_loop().remove_reader(watched.pidfd)
            os.close(watched.pidfd)
            watched.pidfd = -1

    def _on_exit(self, watched: _Watched) -> None:
        self._unwatch(watched)
        task = asyncio.get_running_loop().create_task(self._finish(watched))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _finish(self, watched: _Watched) -> None:
        await end_session(watched.who)
        named = await asyncio.to_thread(watched.files.read_child)
        if named is not None and named.pid != watched.who.pid:
            # A host that died before it could answer had forked already; what was watched is a second child, which
            # ended at once because the attempt had one.
            if is_alive(named):
                self._watch(watched.grant, watched.files, named)
                return
            await end_session(named)
        use = watched.meter.so_far(boottime())
        event = await self._ended_event(watched.grant, watched.files, use, "")
        # Also what began a session of its own.
        await asyncio.to_thread(self._cgroups.end, watched.grant.attempt_id)
        self._watched.pop(watched.grant.attempt_id, None)
        self._tell(event)
        watched.gone.set()

    async def _ended_event(self, grant: Grant, files: AttemptDirectory, use: ResourceUse, detail: str) -> ChildEnded:
        outcome = None
        try:
            outcome = await asyncio.to_thread(files.read_result)
            if outcome is None:
                detail = await asyncio.to_thread(files.read_end) or detail
        except (Undecodable, OSError) as error:
            detail = f"its result cannot be read: {error}"
        if await asyncio.to_thread(self._cgroups.memory_ran_out, grant.attempt_id) and not _succeeded(outcome):
            outcome = self._out_of_memory(grant, use)
        return ChildEnded(grant.attempt_id, outcome, use, detail)

    def _out_of_memory(self, grant: Grant, use: ResourceUse) -> Outcome:
        limits = self._cgroups.limits
        told = replace(use, memory_limit_bytes=limits.memory_bytes_max)
        failure = failure_of("memory_limit", limits)
        return Outcome(grant.attempt_id, grant.fence, OutcomeKind.FAILED, failure=failure, use=told)

    async def _look(self) -> None:
        """Read the progress of every watched child twice a second, while there is one."""
        while self._watched:
            await asyncio.sleep(_LOOK_EVERY_S)
            for watched in list(self._watched.values()):
                self._look_at(watched)

    def _look_at(self, watched: _Watched) -> None:
        watched.meter.sample()
        with contextlib.suppress(OSError):
            progress = watched.files.read_progress()
            if progress is not None and progress != watched.progress:
                watched.progress = progress
                self._tell(ChildProgressed(watched.grant.attempt_id, progress))
