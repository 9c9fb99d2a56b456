"""Follows a rollout until it is at rest: live bars for people, a line per change for logs, nothing for JSON."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Protocol

from haulier.v1 import fleet_pb2 as fl

from controlplane.cli.asking.connection import Operator
from controlplane.cli.migrations.watching import PATIENCE_S
from controlplane.cli.rollouts.tables import AT_REST, counts_of, plain_line, rollout_page
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.pace import RateEstimate
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.terminal import Look, console, write

if TYPE_CHECKING:
    from rich.live import Live

RECONNECT_S = 0.5


class RolloutScreen(Protocol):
    """Where the news goes."""

    def update(self, view: fl.RolloutView, at: float, trouble: str) -> None:
        """Shows the rollout as it is at the instant `at`; `trouble` says why it may be stale."""


class SilentRollout:
    """Shows nothing: for JSON, where only the end is printed."""

    def update(self, view: fl.RolloutView, at: float, trouble: str) -> None:
        """Does nothing."""


class PlainRollout:
    """Prints a line whenever its state, its wave or the number of its hosts in a state has changed."""

    def __init__(self) -> None:
        self._told = ""

    def update(self, view: fl.RolloutView, at: float, trouble: str) -> None:
        """Prints what changed since the last time."""
        line = trouble or plain_line(view)
        if line != self._told:
            self._told = line
            write(line + "\n")


class LiveRollout:
    """Repaints itself in place and is gone at the end, so that the result can take its place."""

    def __init__(self, look: Look) -> None:
        from rich.live import Live

        self._look = look
        self._pace = RateEstimate()
        self._live: Live = Live(
            console=console(sys.stdout, look), transient=True, auto_refresh=False, vertical_overflow="crop"
        )

    def __enter__(self) -> LiveRollout:
        self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.stop()

    def update(self, view: fl.RolloutView, at: float, trouble: str) -> None:
        """Paints the rollout."""
        import shutil

        kept = counts_of(view)["kept"]
        self._pace.see("kept", kept, at)
        look = Look(terminal=True, colour=self._look.colour, width=max(shutil.get_terminal_size().columns, 40))
        # The window may have been resized since the last look.
        self._live.console.width = look.width
        self._live.update(rollout_page(view, look, eta_s=eta_s(view, self._pace), trouble=trouble), refresh=True)


def eta_s(view: fl.RolloutView, pace: RateEstimate) -> float | None:
    """How long it may take: the hosts that are left at the pace of those before, and the soaking of every wave."""
    if view.state != "running":
        return None
    left_s = pace.eta_s(view.hosts)
    if left_s is None:
        return None
    waves = sum(1 for wave in view.waves if wave.wave > view.wave and wave.hosts)
    return left_s + waves * view.soak_s + (view.soak_left_s or view.soak_s)


def watch(operator: Operator, rollout: str, screen: RolloutScreen, *, patience_s: float = PATIENCE_S) -> fl.RolloutView:
    """Follows until the rollout is at rest and returns how it is then.

    Raises Problem when there is none, or when the control plane stays away for longer than `patience_s`.
    """
    seen: fl.RolloutView | None = None
    away_since: float | None = None
    while True:
        request = fl.WatchRolloutRequest(rollout=seen.rollout_id if seen is not None else rollout)
        try:
            for news in operator.stream(request, fl.WatchRolloutResponse):
                seen, away_since = news.rollout, None
                screen.update(seen, time.monotonic(), "")
        except Problem as problem:
            now = time.monotonic()
            away_since = now if away_since is None else away_since
            if problem.code is not Exit.UNREACHABLE or seen is None or now - away_since > patience_s:
                raise
            screen.update(seen, now, f"{problem.what}; waiting for it, the hosts go on")
        if seen is not None and seen.state in AT_REST:
            return seen
        threading.Event().wait(RECONNECT_S)
