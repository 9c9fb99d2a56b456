"""Follows migrations until they have ended: live bars for people, a line per change for logs, nothing for JSON."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from haulier.v1 import operator_pb2 as op

from controlplane.cli.asking.connection import Operator
from controlplane.cli.screen import states
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.pace import RateEstimate
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.terminal import Look, console, write
from controlplane.manifests.text.findings import near_miss

if TYPE_CHECKING:
    from rich.live import Live

POLL_S = 0.5
OVERALL_HALF_LIFE_S = 60.0
# A restart of the control plane takes seconds; the work goes on without it, so the watcher waits for its return.
PATIENCE_S = 120.0


class Screen(Protocol):
    """Where the news goes."""

    def update(self, watched: Sequence[op.MigrationSummary], at: float, trouble: str) -> None:
        """Shows the watched migrations as they are at the instant `at`; `trouble` says why they may be stale."""


def watch(
    operator: Operator,
    names: Collection[str],
    screen: Screen,
    *,
    poll_s: float = POLL_S,
    patience_s: float = PATIENCE_S,
) -> list[op.MigrationSummary]:
    """Polls until every watched migration has ended, and returns how they ended, in order of creation.

    `names` are names or ids of migrations; empty means those that have not ended now, and those that are started
    meanwhile. Raises Problem when a name is unknown, or the control plane stays away for longer than `patience_s`.
    """
    wanted = set(names)
    watched: set[str] = set()
    away_since: float | None = None
    seen: list[op.MigrationSummary] = []
    while True:
        try:
            request = op.ListMigrationsRequest(every_iteration=any(name.startswith("mig_") for name in wanted))
            migrations = operator.listing(request, op.ListMigrationsResponse).migrations
        except Problem as problem:
            now = time.monotonic()
            away_since = now if away_since is None else away_since
            if problem.code is not Exit.UNREACHABLE or not seen or now - away_since > patience_s:
                raise
            screen.update(seen, now, f"{problem.what}; waiting for it, the work goes on")
        else:
            away_since = None
            watched |= {migration.migration_id for migration in migrations if _meant(migration, wanted)}
            _refuse_unknown(wanted, migrations)
            seen = [migration for migration in migrations if migration.migration_id in watched]
            screen.update(seen, time.monotonic(), "")
            if all(migration.state in states.ENDED for migration in seen):
                return seen
        threading.Event().wait(poll_s)


def _meant(migration: op.MigrationSummary, wanted: Collection[str]) -> bool:
    if wanted:
        return migration.name in wanted or migration.migration_id in wanted
    return migration.state not in states.ENDED


def _refuse_unknown(wanted: Collection[str], migrations: Sequence[op.MigrationSummary]) -> None:
    known = {migration.name for migration in migrations} | {migration.migration_id for migration in migrations}
    unknown = sorted(set(wanted) - known)
    if unknown:
        near = near_miss(unknown[0], sorted(migration.name for migration in migrations))
        raise Problem(
            f"no migration {', '.join(unknown)} was started",
            hint=(f"did you mean {near}? " if near else "")
            + "`haulier migration list` shows those that were; `haulier migration start NAME` starts one",
            code=Exit.NOT_FOUND,
        )


class SilentScreen:
    """Shows nothing: for JSON, where only the end is printed."""

    def update(self, watched: Sequence[op.MigrationSummary], at: float, trouble: str) -> None:
        """Does nothing."""


@dataclass
class PlainScreen:
    """Prints a line whenever a migration changes its state or its step."""

    _told: dict[str, tuple[str, str]] = field(default_factory=dict)
    _trouble: str = ""

    def update(self, watched: Sequence[op.MigrationSummary], at: float, trouble: str) -> None:
        """Prints what changed since the last time."""
        from controlplane.cli.migrations.watch_screen import plain_line

        if trouble != self._trouble:
            self._trouble = trouble
            write(f"{trouble or 'the control plane is back'}\n")
        for migration in watched:
            news = (migration.state, migration.current_step)
            if self._told.get(migration.migration_id) != news:
                self._told[migration.migration_id] = news
                write(plain_line(migration) + "\n")


@contextmanager
def screen_for(look: Look, *, live: bool, silent: bool) -> Iterator[Screen]:
    """The screen that suits where the output goes: `silent` for JSON; on a terminal bars when `live`, else nothing."""
    if silent or (look.terminal and not live):
        yield SilentScreen()
    elif look.terminal:
        with live_screen(look) as screen:
            yield screen
    else:
        yield PlainScreen()


@contextmanager
def live_screen(look: Look) -> Iterator[Screen]:
    """A screen that repaints itself in place and is gone at the end, so that the result can take its place."""
    from rich.live import Live

    terminal = console(sys.stdout, look)
    with Live(console=terminal, transient=True, auto_refresh=False, vertical_overflow="crop") as live:
        yield _LiveScreen(live, look)


class _LiveScreen:
    def __init__(self, live: Live, look: Look) -> None:
        self._live = live
        self._look = look
        self._paces: dict[str, RateEstimate] = {}
        # What is done of all moves in leaps: only over a while is there a pace in it.
        self._overall = RateEstimate(half_life_s=OVERALL_HALF_LIFE_S)

    def update(self, watched: Sequence[op.MigrationSummary], at: float, trouble: str) -> None:
        import shutil

        from controlplane.cli.migrations.watch_screen import done_of, live_page

        self._overall.see(str(len(watched)), done_of(watched), at)
        for migration in watched:
            pace = self._paces.setdefault(migration.migration_id, RateEstimate())
            pace.see(migration.current_step, migration.watermark, at)
        size = shutil.get_terminal_size()
        look = Look(terminal=True, colour=self._look.colour, width=max(size.columns, 40))
        # The window may have been resized since the last look.
        self._live.console.width = look.width
        page = live_page(watched, self._paces, look, height=size.lines, overall=self._overall, trouble=trouble)
        self._live.update(page, refresh=True)
