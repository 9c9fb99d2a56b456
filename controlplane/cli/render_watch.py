"""What a person sees while migrations run: one line each with a bar, a rate and an ETA. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from haulier.v1 import operator_pb2 as op
from rich.console import Group, RenderableType
from rich.text import Text

from controlplane.cli import render_pieces as pieces
from controlplane.cli import states, wording
from controlplane.cli.pace import Pace
from controlplane.cli.terminal import Look

_BAR_WIDTH_MIN = 10
_BAR_WIDTH_MAX = 30
_FULL, _EMPTY = "━", "─"


def fraction(migration: op.MigrationSummary) -> float:
    """How much of a migration is done, 0 to 1: whole steps, plus the part of the running one."""
    if migration.state in states.ENDED_WELL:
        return 1.0
    if not migration.steps_total:
        return 0.0
    running = min(migration.watermark / migration.total, 1.0) if migration.total and migration.current_step else 0.0
    return min((migration.steps_done + running) / migration.steps_total, 1.0)


def bar(done: float, width: int, style: str) -> Text:
    """A bar of `width` columns."""
    full = min(int(done * width + 0.5), width)
    return Text(_FULL * full, style=style, no_wrap=True).append(_EMPTY * (width - full), style=pieces.QUIET)


def live_page(
    migrations: Sequence[op.MigrationSummary],
    paces: Mapping[str, Pace],
    look: Look,
    *,
    height: int,
    trouble: str = "",
) -> RenderableType:
    """The watched migrations within `height` lines: what moves comes first, what does not fit is counted.

    `paces` holds the rate of rows by migration id. `trouble` is shown when the control plane is away.
    """
    room = max(height - 4, 1)
    ranked = sorted(migrations, key=_rank)
    shown = {migration.migration_id for migration in ranked[:room]}
    bar_width = min(max(look.width - 68, _BAR_WIDTH_MIN), _BAR_WIDTH_MAX)
    table = pieces.table(
        [
            pieces.column("name", min_width=12),
            pieces.column("state"),
            pieces.column("progress"),
            pieces.column("step"),
            pieces.column("rate", justify="right"),
            pieces.column("eta", justify="right"),
        ]
    )
    for migration in migrations:
        if migration.migration_id in shown:
            table.add_row(*_line(migration, paces.get(migration.migration_id), bar_width))
    parts: list[RenderableType] = [table]
    hidden = ranked[room:]
    if hidden:
        tally = Counter(migration.state for migration in hidden)
        words = ", ".join(f"{number} {wording.clean(word)}" for word, number in sorted(tally.items()))
        parts.append(pieces.nothing(f"… and {len(hidden)} more: {words}"))
    parts += [Text(), _foot(migrations, paces)]
    if trouble:
        parts.append(Text(wording.clean(trouble), style="yellow"))
    return Group(*parts)


_RANK = {
    states.Mood.HELP: 0,
    states.Mood.BAD: 1,
    states.Mood.BUSY: 2,
    states.Mood.CAREFUL: 2,
    states.Mood.UNKNOWN: 3,
    states.Mood.WAITING: 4,
}


def _rank(migration: op.MigrationSummary) -> tuple[int, bool]:
    moving = bool(migration.stage or migration.watermark)
    return (_RANK.get(states.mood(migration.state), 5), not moving)


def _line(migration: op.MigrationSummary, pace: Pace | None, bar_width: int) -> list[Text]:
    style = states.looks(migration.state).style
    done = fraction(migration)
    progress = bar(done, bar_width, style).append(f" {wording.percent(done):>4}")
    ended = migration.state in states.ENDED
    rate, eta = Text(""), Text("")
    if ended:
        eta = pieces.quiet(wording.duration(migration.elapsed_s))
        if migration.verified_rows:
            rate = Text(f"{wording.short_count(migration.verified_rows)} rows")
    elif pace is not None and pace.per_s > 0:
        rate = Text(wording.rate(pace.per_s, "rows"))
        left_s = pace.eta_s(migration.total)
        eta = Text(wording.duration(left_s) if left_s is not None else "")
    return [pieces.name(migration.name), pieces.state(migration.state), progress, _step(migration), rate, eta]


def _step(migration: op.MigrationSummary) -> Text:
    step = migration.current_step
    return pieces.name(f"{step}: {migration.stage}" if step and migration.stage else step)


def _foot(migrations: Sequence[op.MigrationSummary], paces: Mapping[str, Pace]) -> Text:
    ended = [migration for migration in migrations if migration.state in states.ENDED]
    well = sum(migration.state in states.ENDED_WELL for migration in ended)
    text = Text(f"{len(ended)} of {len(migrations)} ended, {well} verified")
    if len(ended) > well:
        text.append(f", {len(ended) - well} not", style="red")
    live = {migration.migration_id for migration in migrations if migration.state not in states.ENDED}
    per_s = sum(pace.per_s for key, pace in paces.items() if key in live)
    if per_s > 0:
        text.append(f" · {wording.rate(per_s, 'rows')}", style=pieces.QUIET)
    return text


def plain_line(migration: op.MigrationSummary) -> str:
    """A migration's news as one line, for logs and pipes."""
    parts = [
        wording.clean(migration.name),
        wording.clean(migration.state),
        f"{migration.steps_done}/{migration.steps_total}",
    ]
    if migration.state in states.ENDED:
        if migration.verified_digest:
            parts.append(f"{wording.count(migration.verified_rows)} rows {wording.clean(migration.verified_digest)}")
        if migration.reason:
            parts.append(wording.clean(migration.reason))
    elif migration.current_step:
        parts.append(wording.clean(migration.current_step))
    return "  ".join(parts)
