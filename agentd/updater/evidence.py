"""How the running agent does: one look, from outside, believing as little as possible of what it says of itself."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agentd.core.release_state import Before, SelfTest, UpdaterState
from agentd.core.updater_rules import Evidence, wants_contact, wants_test
from agentd.processes.identity import boottime, identify
from agentd.supervision import status_socket
from agentd.updater.programs import Programs
from agentd.updater.service import Service
from agentd.updater.settings import UpdaterSettings

_ANSWER_WAIT_S = 5.0
# With less than this the agent cannot keep its journal; what fails then says nothing about a release.
_FREE_MIN_BYTES = 4 * 1024 * 1024
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the daemon answered on its socket; nothing in it is set where none answered."""

    digest: str = ""
    pid: int = 0
    incarnation: int = 0
    connected: bool = False
    connected_s: float = 0.0
    heartbeat_s: float = 15.0
    up_s: float = 0.0
    rss_bytes: int = 0
    held: tuple[dict[str, Any], ...] = ()


def ask(agent_state: Path) -> Answer:
    """Ask the daemon of this state directory how it is."""
    try:
        told = status_socket.ask(agent_state, _ANSWER_WAIT_S)
        pid = int(told.get("pid", 0))
        return Answer(
            digest=str(told.get("release_digest", "")),
            pid=pid,
            incarnation=int(told.get("incarnation", 0)),
            connected=bool(told.get("connected", False)),
            connected_s=float(told.get("connected_s", 0.0)),
            heartbeat_s=float(told.get("heartbeat_s", 15.0)),
            # Seen from outside where that is possible: a hardened service manager may hide others' processes.
            up_s=_up_s(pid) or float(told.get("up_s", 0.0)),
            rss_bytes=memory_bytes(pid) or int(told.get("rss_bytes", 0)),
            held=tuple(told.get("held", ())),
        )
    except (status_socket.NoAnswer, OSError, ValueError, TypeError):
        return Answer()


class ProbationWitness:
    """Looks at the agent of one host."""

    def __init__(self, settings: UpdaterSettings, service: Service, programs: Programs) -> None:
        self._settings = settings
        self._service = service
        self._programs = programs

    def before(self, state: UpdaterState) -> Before:
        """What the new release will be measured against: the old one, while it still runs."""
        assert state.current is not None
        answer = ask(self._settings.agent_state)
        tested = state.tested or self._self_test(state.current.digest)
        return Before(answer.connected, answer.rss_bytes, tested)

    def look(self, state: UpdaterState, now: float) -> Evidence:
        """One look at a release on probation; runs what the decision still needs."""
        assert state.wanted is not None and state.probation is not None
        digest = state.wanted.release.digest
        tested = self._self_test(digest) if wants_test(state) else None
        old_tested = None
        if tested is not None and not tested.passed and not tested.environment:
            # What fails for both at the same moment is the host's trouble and not the release's.
            old_tested = self._self_test(state.probation.back.digest)
        answer = ask(self._settings.agent_state)
        connected = answer.digest == digest and answer.connected
        contact = None
        if wants_contact(state, connected, now):
            contact = self._programs.contact(state.probation.back.digest)
        return Evidence(
            unit=self._service.unit(),
            answering=answer.digest,
            incarnation=answer.incarnation,
            up_s=answer.up_s,
            connected_s=answer.connected_s if connected else 0.0,
            heartbeat_s=answer.heartbeat_s,
            rss_bytes=answer.rss_bytes if answer.digest == digest else 0,
            disk_full=free_bytes(self._settings.agent_state) < _FREE_MIN_BYTES,
            contact=contact,
            tested=tested,
            old_tested=old_tested,
        )

    def _self_test(self, digest: str) -> SelfTest:
        """A release's self-test, and how long it took as seen from here: what is slow before it begins to count, or
        does not count right, is slow all the same."""
        began_at = boottime()
        tested = self._programs.self_test(digest)
        return replace(tested, wall_s=max(tested.wall_s, boottime() - began_at))


def _up_s(pid: int) -> float:
    who = identify(pid) if pid else None
    return 0.0 if who is None else max(0.0, boottime() - who.started_at)


def memory_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where there is none."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES if pid else 0
    except (OSError, ValueError, IndexError):
        return 0


def free_bytes(path: Path) -> int:
    """Room left on the file system of `path` for others than root; plenty where that cannot be known."""
    try:
        room = os.statvfs(path)
    except OSError:
        return _FREE_MIN_BYTES
    return room.f_bavail * room.f_frsize
