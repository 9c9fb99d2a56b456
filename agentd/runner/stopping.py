"""Stopping an attempt's processes as a whole, and making sure that none is left."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Collection, Iterable
from pathlib import Path

from agentd.processes.identity import ProcessIdentity, all_pids, descendants, is_alive, session_members, was_reused
from agentd.runner.attempt_files import ATTEMPTS, AttemptDirectory

_FIRST_PAUSE_S = 0.01
_REAP_PAUSES_S = (0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512)
_LONGEST_PAUSE_S = 1.0
_EVICTION_WAIT_S = 10.0


class EvictionFailed(Exception):
    """A process of an earlier attempt cannot be ended; says which."""


def signal_group(leader: ProcessIdentity, number: signal.Signals) -> None:
    """Signal the whole group of a living leader. Nothing happens when the leader is gone."""
    if is_alive(leader):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(leader.pid, number)


async def end_session(leader: ProcessIdentity) -> None:
    """Return when no process of the leader's session lives; kills what is left. The leader itself has
    ended."""
    pause_s = _FIRST_PAUSE_S
    while _group_exists(leader.pid) and not was_reused(leader):
        members = await asyncio.to_thread(session_members, leader)
        if not members:
            await _taken_away(leader)
            return
        _kill(members)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _taken_away(leader: ProcessIdentity) -> None:
    """Give whoever started the leader a moment to take it away: how it ended is written down before that."""
    for pause_s in _REAP_PAUSES_S:
        if not _group_exists(leader.pid) or was_reused(leader):
            return
        await asyncio.sleep(pause_s)


def _group_exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def end_descendants() -> None:
    """Kill whatever this process started: orphans of it come back to it, also those that began their own session."""
    while left := descendants(os.getpid()):
        _kill(left)
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


async def evict(attempt_ids: Collection[str]) -> list[int]:
    """Kill every process of these attempts on this host, whichever agent started it; return the pids.

    A stopped process still holds its file locks, so a successor cannot wait for it to go by itself. Raises
    EvictionFailed when one does not go.
    """
    if not attempt_ids:
        return []
    evicted: list[int] = []
    pause_s = _FIRST_PAUSE_S
    deadline_at = asyncio.get_running_loop().time() + _EVICTION_WAIT_S
    while found := await asyncio.to_thread(_processes_of, frozenset(attempt_ids)):
        if asyncio.get_running_loop().time() >= deadline_at:
            raise EvictionFailed(f"processes {found} of an earlier attempt cannot be ended")
        _kill(found)
        evicted += [pid for pid in found if pid not in evicted]
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
    return evicted


def _processes_of(attempt_ids: frozenset[str]) -> list[int]:
    """Living processes that belong to one of the attempts: each works inside its attempt's directory.

    Somebody's shell may be there as well, so only the session of the child that the directory names
    counts."""
    found = []
    for pid in all_pids():
        try:
            inside = Path(f"/proc/{pid}/cwd").readlink()
            if inside.name not in attempt_ids or inside.parent.name != ATTEMPTS:
                continue
            leader = AttemptDirectory(inside).read_child()
            belongs = leader is not None and pid in session_members(leader)
        except OSError:
            continue
        if belongs:
            found.append(pid)
    return found
