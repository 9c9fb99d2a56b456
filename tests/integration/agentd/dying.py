"""Kills its own process at one exact point: a call or a return of one of the agent's functions.

Where a process can die is not listed by hand. One run writes down every point that it passes while it is armed; then
each of them is taken in turn.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from agentd.core import events
from agentd.core.agent import Agent
from agentd.core.effects import Effect
from agentd.core.events import Event
from agentd.runner.fork_server import ForkServer

AGENTD = str(Path(sys.modules["agentd"].__path__[0]))
# What a test says: the attempt or process meant, the point to die at ("" to write all points down), and where to.
FOR, HOST_FOR, AT, POINTS = "SMALL_DIES_FOR", "SMALL_DIES_HOST_FOR", "SMALL_DIES_AT", "SMALL_DIES_POINTS"
ORDERS = "SMALL_DIES_"


class Killer:
    """Watches the calls of the agent's own code in this process, from `arm` to `disarm`."""

    def __init__(self, at: str, points: Path) -> None:
        self._at, self._points = at, points
        self._seen: dict[str, None] = {}
        self._armed_in = 0

    def arm(self) -> None:
        """From now on a point counts, in this process alone: not in what it forks."""
        self._armed_in = os.getpid()

    def disarm(self) -> None:
        """No further point counts; those that did are written down."""
        if self._armed_in == os.getpid() and not self._at:
            self._points.write_text("\n".join(self._seen))
        self._armed_in = 0

    def watch(self) -> None:
        """Look at every call of every thread."""
        threading.setprofile(self._look)
        sys.setprofile(self._look)

    def _look(self, frame: FrameType, event: str, _: Any) -> None:
        if not self._armed_in or event not in ("call", "return") or self._armed_in != os.getpid():
            return
        code = frame.f_code
        if not code.co_filename.startswith(AGENTD):
            return
        point = f"{Path(code.co_filename).stem}.{code.co_qualname}:{event}"
        if point == self._at:
            os.kill(os.getpid(), signal.SIGKILL)
        self._seen.setdefault(point)


def in_daemon() -> None:
    """Die, if told to, between the grant of one attempt and the core's word that it runs."""
    wanted = os.environ.get(FOR, "")
    if not wanted:
        return
    killer = Killer(os.environ.get(AT, ""), Path(os.environ[POINTS]))
    handle = Agent.handle

    def watched(agent: Agent, event: Event, now: float) -> list[Effect]:
        if isinstance(event, events.LeaseGranted) and event.grant.attempt_id == wanted:
            killer.arm()
        done = handle(agent, event, now)
        if isinstance(event, events.ChildStarted) and event.attempt_id == wanted:
            killer.disarm()
        return done

    Agent.handle = watched  # type: ignore[assignment]
    killer.watch()


def in_runner_host() -> None:
    """Die, if told to, between the start of a runner host and its first answer; the next host of the agent lives."""
    wanted = os.environ.get(HOST_FOR, "")
    if not wanted:
        return
    points = Path(os.environ[POINTS])
    mark = points.with_name(f"died for {wanted}")
    if mark.exists():
        return
    mark.touch()
    killer = Killer(os.environ.get(AT, ""), points)
    say = ForkServer._say

    def watched(server: ForkServer, told: dict[str, Any]) -> None:
        say(server, told)
        if "pid" in told:
            killer.disarm()

    ForkServer._say = watched  # type: ignore[assignment]
    killer.arm()
    killer.watch()
