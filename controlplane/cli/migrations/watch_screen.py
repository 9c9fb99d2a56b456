"""What a person sees while migrations run: one line each with a bar, a rate and an ETA. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from haulier.v1 import operator_pb2 as op
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Column
from rich.text import Text

from controlplane.cli.screen import pieces, states, wording
from controlplane.cli.screen.pace import RateEstimate
from controlplane.cli.screen.terminal import Look

T = TypeVar("T")

_BAR_WIDTH_MIN = 10
_BAR_WIDTH_MAX = 30
_STATE_WIDTH = 14
_RATE_WIDTH = 12
_ETA_WIDTH = 6
_GAP = 2
_ROOMY_LINES = 10
_FULL, _EMPTY = "━", "─"


class _Layout(NamedTuple):
    """Where things stand on the screen. It depends on the names and the width alone, so that nothing jumps."""

    columns: list[Column]
    bar_width: int
    words: bool
    """Whether states are words, and not symbols only."""


def _layout(migrations: Sequence[op.MigrationSummary], width: int) -> _Layout:
    words = width >= 100
    state_width = _STATE_WIDTH if words else 1
    bar_width = min(max(width // 8, _BAR_WIDTH_MIN), _BAR_WIDTH_MAX)
    progress_width = bar_width + len(" 100%")
    left = width - state_width - progress_width - _RATE_WIDTH - _ETA_WIDTH - 5 * _GAP
    longest = max((cell_len(wording.clean(migration.name)) for migration in migrations), default=0)
    name_width = max(min(longest, left * 3 // 5), len("name"))
    step_width = max(min(left - name_width, 40), len("step"))
    columns = [
        pieces.column("name", width=name_width),
        pieces.column("state" if words else "", width=state_width),
        pieces.column("progress", width=progress_width),
        pieces.column("step", width=step_width),
        pieces.column("rate", width=_RATE_WIDTH, justify="right"),
        pieces.column("eta", width=_ETA_WIDTH, justify="right"),
    ]
    return _Layout(_state_first(columns, words), bar_width, words)


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
    paces: Mapping[str, RateEstimate],
    look: Look,
    *,
    height: int,
    overall: RateEstimate | None = None,
    trouble: str = "",
) -> RenderableType:
    """The watched migrations within `height` lines: what needs a person comes first, then what moves; those that wait
    are summed up, and what does not fit is counted.

    `paces` holds the rate of rows by migration id, `overall` that of `done_of` all. `trouble` is shown when the control
    plane is away.
    """
    waiting = [migration for migration in migrations if states.mood(migration.state) is states.Mood.WAITING]
    ranked = sorted((m for m in migrations if states.mood(m.state) is not states.Mood.WAITING), key=_rank)
    # The heading, what is counted, the foot; and where there is room a blank line and the bar over all.
    roomy = height >= _ROOMY_LINES
    room = max(height - 3 - bool(waiting) - bool(trouble) - 2 * roomy, 1)
    layout = _layout(migrations, look.width)
    table = pieces.table(layout.columns)
    for migration in ranked[:room]:
        table.add_row(*_line(migration, paces.get(migration.migration_id), layout))
    parts: list[RenderableType] = [table] if ranked else []
    hidden = ranked[room:]
    if hidden:
        counts = Counter(migration.state for migration in hidden)
        words = ", ".join(f"{number} {wording.clean(word)}" for word, number in sorted(counts.items()))
        parts.append(pieces.nothing(f"… and {len(hidden)} more: {words}"))
    if waiting:
        parts.append(_waiting(waiting, look))
    parts += [Text(), _total(migrations, overall, look)] if roomy else []
    parts.append(_foot(migrations, paces))
    if trouble:
        parts.append(Text(wording.clean(trouble), style="yellow"))
    return Group(*parts)


def done_of(migrations: Sequence[op.MigrationSummary]) -> float:
    """How much of all of them is done, in migrations: what ended counts whole, however it ended."""
    return sum(1.0 if migration.state in states.ENDED else fraction(migration) for migration in migrations)


def _waiting(waiting: Sequence[op.MigrationSummary], look: Look) -> Text:
    looks = states.looks("waiting")
    text = Text(f"{looks.symbol} {len(waiting)} waiting", style=looks.style)
    first = wording.clean(waiting[0].name)
    text.append(f": next {first}" if len(waiting) > 1 else f": {first}", style=pieces.QUIET)
    text.append(f"; `haulier why {first}` says for what", style=pieces.QUIET)
    text.truncate(look.width, overflow="ellipsis")
    return text


def _total(migrations: Sequence[op.MigrationSummary], overall: RateEstimate | None, look: Look) -> Text:
    """One bar over all, with the time that is left at the pace of late."""
    done, count = done_of(migrations), len(migrations)
    share = done / count if count else 1.0
    width = min(max(look.width // 3, _BAR_WIDTH_MIN), 2 * _BAR_WIDTH_MAX)
    text = Text("all  ").append_text(bar(share, width, "green")).append(f" {wording.percent(share):>4}")
    left_s = overall.eta_s(count) if overall is not None and share < 1 else None
    if left_s is not None:
        text.append(f"  about {wording.duration(left_s)} left", style=pieces.QUIET)
    return text


_RANK = {
    states.Mood.HELP: 0,
    states.Mood.BAD: 1,
    states.Mood.BUSY: 2,
    states.Mood.CAREFUL: 2,
    states.Mood.UNKNOWN: 3,
}


def _rank(migration: op.MigrationSummary) -> tuple[int, bool]:
    moving = bool(migration.stage or migration.watermark)
    return (_RANK.get(states.mood(migration.state), 4), not moving)


def _line(migration: op.MigrationSummary, pace: RateEstimate | None, layout: _Layout) -> list[Text]:
    looks = states.looks(migration.state)
    done = fraction(migration)
    progress = bar(done, layout.bar_width, looks.style).append(f" {wording.percent(done):>4}")
    state = pieces.state(migration.state) if layout.words else Text(looks.symbol, style=looks.style)
    rate, eta = Text(""), Text("")
    if migration.state in states.ENDED:
        eta = pieces.quiet(wording.duration(migration.elapsed_s))
        if migration.verified_rows:
            rate = Text(f"{wording.short_count(migration.verified_rows)} rows")
    elif pace is not None and pace.per_s > 0:
        rate = Text(wording.rate(pace.per_s, "rows"))
        left_s = pace.eta_s(migration.total)
        eta = Text(wording.duration(left_s) if left_s is not None else "")
    return _state_first(
        [pieces.name(migration.name), state, progress, _step(migration, layout), rate, eta], layout.words
    )


def _state_first(row: list[T], words: bool) -> list[T]:
    """A state that is only a symbol stands before the name, as a bullet."""
    return row if words else [row[1], row[0], *row[2:]]


def _step(migration: op.MigrationSummary, layout: _Layout) -> Text:
    if not migration.current_step:
        return pieces.name("" if layout.words else migration.state)
    step = f"{migration.current_step}: {migration.stage}" if migration.stage else migration.current_step
    return pieces.name(step)


def _foot(migrations: Sequence[op.MigrationSummary], paces: Mapping[str, RateEstimate]) -> Text:
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
