"""What the migration commands print as tables and pages. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from haulier.v1 import agent_pb2
from haulier.v1 import operator_pb2 as op
from rich.console import Group, RenderableType
from rich.text import Text

from controlplane.cli.events.tables import instant
from controlplane.cli.migrations import leftovers as render_leftovers
from controlplane.cli.migrations.proof import proof, rows_of, waived
from controlplane.cli.screen import pieces, states, wording
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.terminal import Look


def migration_table(migrations: Sequence[op.MigrationSummary], look: Look, *, reasons: bool = True) -> RenderableType:
    """Migrations one per line. Narrow terminals get fewer columns; `-o wide` gets all.

    Where each has a reason for its state, that is shown instead of progress, unless `reasons` are told elsewhere.
    """
    if not migrations:
        return pieces.nothing(
            "no migration to show; `haulier migration list --applied` shows what `haulier migration start` can start"
        )
    if reasons and all(migration.reason for migration in migrations) and not look.wide:
        return _reason_table(migrations)
    columns = [
        pieces.column("name", flex=True),
        pieces.column("state"),
        pieces.column("step", flex=True),
        pieces.column("steps", justify="right"),
        pieces.column("rows", justify="right"),
        pieces.column("time", justify="right"),
    ]
    if look.fits(100):
        columns += [pieces.column("from → to", flex=True)]
    if look.fits(120):
        columns += [pieces.column("staged", justify="right"), pieces.column("digest")]
    if look.fits(160):
        columns += [
            pieces.column("dataset", flex=True),
            pieces.column("workflow", flex=True),
            pieces.column("migration"),
            pieces.column("owner", flex=True),
            pieces.column("labels", flex=True),
            pieces.column("reason", flex=True),
        ]
    table = pieces.table(columns)
    for migration in migrations:
        table.add_row(*_cells(migration, look)[: len(columns)])
    return table


def _cells(migration: op.MigrationSummary, look: Look) -> list[Text]:
    return [
        pieces.name(migration.name),
        pieces.state(migration.state),
        pieces.name(migration.current_step),
        Text(f"{migration.steps_done}/{migration.steps_total}"),
        Text(wording.count(migration.verified_rows) if migration.verified_digest else ""),
        Text(wording.duration(migration.elapsed_s)),
        pieces.name(f"{migration.source} → {migration.destination}"),
        Text(wording.size(migration.staged_bytes) if migration.staged_bytes else ""),
        pieces.digest(migration.verified_digest, look),
        pieces.quiet(migration.dataset),
        pieces.quiet(migration.workflow),
        pieces.quiet(migration.migration_id),
        pieces.quiet(migration.owner),
        pieces.quiet(", ".join(f"{key}={value}" for key, value in sorted(migration.labels.items()))),
        pieces.name(_whole_reason(migration)),
    ]


def _whole_reason(migration: op.MigrationSummary) -> str:
    code = f"[{migration.reason_code}] " if migration.reason_code and migration.reason else ""
    return f"{code}{migration.reason}"


def _reason_table(migrations: Sequence[op.MigrationSummary]) -> RenderableType:
    """Migrations that all stand where they are for a reason: it takes the room that progress would."""
    columns = [pieces.column("name", flex=True), pieces.column("state"), pieces.column("reason", fold=True)]
    table = pieces.table(columns)
    for migration in migrations:
        table.add_row(
            pieces.name(migration.name), pieces.state(migration.state), pieces.prose(_whole_reason(migration))
        )
    return table


# More names than these do not help to see what a group has in common.
_NAMES_MAX = 3


class ReasonGroup(NamedTuple):
    """Migrations that stand in one state for one reason: the code of the failure, at the same step."""

    state: str
    step: str
    code: str
    names: list[str]
    example: str


def by_reason(migrations: Sequence[op.MigrationSummary]) -> list[ReasonGroup]:
    """Migrations that have a reason for their state, grouped by it, the largest group first."""
    groups: dict[tuple[str, str, str], ReasonGroup] = {}
    for each in migrations:
        if each.reason:
            # Without a code, as after a cancel, the words of the person are the reason.
            key = (each.state, each.current_step, each.reason_code or each.reason)
            group = groups.setdefault(
                key, ReasonGroup(each.state, each.current_step, each.reason_code, [], each.reason)
            )
            group.names.append(each.name)
    return sorted(groups.values(), key=lambda group: (-len(group.names), group.state, group.step, group.code))


def reason_table(groups: Sequence[ReasonGroup]) -> RenderableType:
    """Groups of migrations by the reason for their state."""
    if not groups:
        return pieces.nothing("no migration has a reason to tell: none failed, is stuck, or was cancelled")
    columns = [
        pieces.column("count", justify="right"),
        pieces.column("state"),
        pieces.column("step"),
        pieces.column("code"),
        pieces.column("migrations", fold=True),
        pieces.column("for example", fold=True),
    ]
    table = pieces.table(columns)
    for group in groups:
        more = f" and {len(group.names) - _NAMES_MAX} more" if len(group.names) > _NAMES_MAX else ""
        table.add_row(
            Text(wording.count(len(group.names))),
            pieces.state(group.state),
            pieces.name(group.step),
            pieces.name(group.code),
            pieces.prose(", ".join(group.names[:_NAMES_MAX]) + more),
            pieces.prose(group.example),
        )
    return table


def verdict(migrations: Sequence[op.MigrationSummary]) -> Text:
    """One line that sums up: "12 verified, 1 failed · 1,034,112 rows · 48 MB staged"."""
    by_state: dict[str, int] = {}
    for migration in migrations:
        by_state[migration.state] = by_state.get(migration.state, 0) + 1
    text = Text()
    for index, word in enumerate(sorted(by_state, key=lambda word: (word not in states.ENDED_WELL, word))):
        text.append(", " if index else "").append_text(pieces.state(word)).append(f" {by_state[word]}")
    rows = sum(migration.verified_rows for migration in migrations)
    staged = sum(migration.staged_bytes for migration in migrations)
    text.append(f" · {wording.plural(rows, 'row')} proven · {wording.size(staged)} staged", style=pieces.QUIET)
    return text


def left_behind(migrations: Sequence[op.MigrationSummary]) -> RenderableType | None:
    """What the verified migrations left behind beside their rows; None where everything came along."""
    told = [migration for migration in migrations if migration.left_behind and migration.verified_digest]
    if not told:
        return None
    table = pieces.table([pieces.column("migration", flex=True), pieces.column("did not come along", fold=True)])
    for migration in told[:_LEFT_BEHIND_MAX]:
        table.add_row(pieces.name(migration.name), pieces.prose(" · ".join(migration.left_behind)))
    if len(told) <= _LEFT_BEHIND_MAX:
        return table
    rest = f"and {len(told) - _LEFT_BEHIND_MAX} more; `haulier migration get NAME` shows each"
    return Group(table, pieces.quiet(rest))


# More than these are a list to look at, not to scroll through.
_PROBLEMS_MAX = 8
_LEFT_BEHIND_MAX = 8


def problems_of(bad: Sequence[op.MigrationSummary]) -> list[Problem]:
    """Migrations that did not end as wished, as problems: the first few, and how to see the others."""
    problems = [
        Problem(
            f"{migration.name}: {migration.state.replace('_', ' ')}: {migration.reason or 'no reason was given'}",
            hint=f"haulier migration get {migration.name}",
            code=Exit.BAD_ANSWER,
        )
        for migration in bad[:_PROBLEMS_MAX]
    ]
    if len(bad) > _PROBLEMS_MAX:
        rest = f"and {len(bad) - _PROBLEMS_MAX} more"
        problems.append(Problem(rest, hint="haulier migration list", code=Exit.BAD_ANSWER))
    return problems


# What such a migration has proven is no longer at the destination, or soon will not be.
_UNDOING = frozenset({"restoring", "cancelling", "cancelled", "rolling_back", "rolled_back"})


def migration_page(answer: op.GetMigrationResponse, look: Look) -> RenderableType:
    """One migration: what it is, its steps with their attempts, its failures, its proof."""
    parts: list[RenderableType] = [_head(answer), Text(), _step_table(answer.steps, look)]
    for step in answer.steps:
        failure = _failure(step)
        told = [*_earlier(step), *([] if failure is None else [failure])]
        parts += [Text(), *told] if told else []
    undone = answer.migration.state in _UNDOING
    parts += [part for step in answer.steps for part in proof(step, look, undone=undone)]
    parts += [lost for step in answer.steps if (lost := waived(step)) is not None]
    beside = left_behind([answer.migration])
    if beside is not None:
        parts += [Text(), beside]
    parts += _other_runs(answer.iterations, answer.migration)
    return Group(*parts)


def _iterations(migration: op.MigrationSummary) -> str:
    """Which run of its name it is, where there are more."""
    if migration.iterations <= 1:
        return ""
    others = f"`haulier migration get {migration.name} --iteration N` shows another"
    return f"{migration.iteration} of {migration.iterations}; {others}"


def _other_runs(iterations: Sequence[op.MigrationSummary], shown: op.MigrationSummary) -> list[RenderableType]:
    """The other runs of its name: how each ended, and what it proved."""
    others = [each for each in iterations if each.iteration != shown.iteration]
    if not others:
        return []
    table = pieces.table(
        [
            pieces.column("iteration", justify="right"),
            pieces.column("state"),
            pieces.column("rows", justify="right"),
            pieces.column("reason", flex=True),
        ]
    )
    for each in others:
        rows = wording.count(each.verified_rows) if each.verified_digest else ""
        table.add_row(str(each.iteration), pieces.state(each.state), rows, pieces.prose(each.reason))
    return [Text(), table]


def _head(answer: op.GetMigrationResponse) -> RenderableType:
    migration = answer.migration
    title = Text(wording.clean(migration.name), style="bold").append("  ")
    title.append_text(pieces.state(migration.state))
    lines = pieces.table([pieces.column("field"), pieces.column("value", fold=True)])
    lines.show_header = False
    rows = [
        ("reason", migration.reason),
        ("dataset", migration.dataset),
        ("route", f"{migration.source} → {migration.destination}"),
        ("workflow", f"{migration.workflow}, {migration.steps_done} of {migration.steps_total} steps done"),
        ("started", instant(migration.created_at) if migration.created_at else ""),
        ("ended", instant(migration.ended_at) if migration.ended_at else ""),
        ("time", wording.duration(migration.elapsed_s)),
        ("staged", wording.size(migration.staged_bytes) if migration.staged_bytes else ""),
        ("kept", render_leftovers.kept(answer.leftovers)),
        ("rollback", render_leftovers.rollback(answer.leftovers)),
        ("iteration", _iterations(migration)),
        ("id", migration.migration_id),
    ]
    for key, value in rows:
        if value:
            lines.add_row(pieces.quiet(key), pieces.prose(value))
    return Group(title, lines)


# Place of the rows among the cells of an attempt.
_ROWS = 3


def _step_table(steps: Sequence[op.StepView], look: Look) -> RenderableType:
    columns = [
        pieces.column("step", flex=True),
        pieces.column("state"),
        pieces.column("try", justify="right"),
        pieces.column("agent", flex=True),
        pieces.column("time", justify="right"),
        pieces.column("rows", justify="right"),
    ]
    if look.fits(80):
        columns += [pieces.column("stage", flex=True)]
    if look.fits(120):
        columns += [pieces.column("cpu", justify="right"), pieces.column("rss", justify="right")]
    if look.fits(140):
        columns += [pieces.column("started"), pieces.column("kind"), pieces.column("needs", flex=True)]
    if look.wide:
        columns += [pieces.column("fence", justify="right"), pieces.column("attempt")]
    table = pieces.table(columns)
    for step in steps:
        head = [pieces.name(step.name), pieces.state(step.state)]
        tail = [pieces.quiet(step.kind), pieces.quiet(", ".join(step.needs))]
        blank = [Text("")] * 10
        newest_first = list(reversed(step.attempts))
        # The newest attempt stands beside its step; earlier ones follow below, indented.
        beside = _attempt_cells(newest_first[0]) if newest_first else blank
        rows = rows_of(step)
        if rows is not None:
            beside[_ROWS] = Text(wording.count(rows))
        table.add_row(*[*head, *beside[:8], *tail, *beside[8:]][: len(columns)])
        for earlier in newest_first[1:]:
            first = [Text("  ↳", style=pieces.QUIET), pieces.state(earlier.state)]
            cells = _attempt_cells(earlier)
            table.add_row(*[*first, *cells[:8], Text(""), Text(""), *cells[8:]][: len(columns)])
    return table


def _attempt_cells(attempt: op.AttemptView) -> list[Text]:
    undo = " undo" if attempt.direction == agent_pb2.DIRECTION_UNDO else ""
    used = attempt.HasField("use")
    return [
        Text(f"{attempt.number}{undo}"),
        pieces.name(attempt.agent),
        Text(wording.duration(attempt.elapsed_s)),
        Text(_progress(attempt)),
        pieces.quiet(attempt.stage if _runs(attempt) else ""),
        Text(wording.duration(attempt.use.cpu_s) if used else ""),
        Text(wording.size(attempt.use.rss_bytes_max) if used else ""),
        pieces.quiet(instant(attempt.granted_at) if attempt.granted_at else ""),
        Text(wording.fence(attempt.fence) if attempt.fence else ""),
        pieces.quiet(attempt.attempt_id),
    ]


def _runs(attempt: op.AttemptView) -> bool:
    return states.mood(attempt.state) is states.Mood.BUSY


def _progress(attempt: op.AttemptView) -> str:
    """How far a running attempt is. What an ended one last reported says nothing about what it did."""
    if not _runs(attempt) or not (attempt.watermark or attempt.total):
        return ""
    if attempt.total > attempt.watermark:
        return f"{wording.percent(attempt.watermark / attempt.total)} of {wording.short_count(attempt.total)}"
    return wording.count(attempt.watermark)


def _earlier(step: op.StepView) -> list[Text]:
    """Why each try before the newest ended without success."""
    return [
        Text(f"{wording.clean(step.name)}, try {attempt.number} on {wording.clean(attempt.agent)}: ", overflow="fold")
        .append(f"[{wording.clean(attempt.failure.code)}] ", style="yellow")
        .append(wording.clean_lines(attempt.failure.message))
        for attempt in step.attempts[:-1]
        if attempt.HasField("failure")
    ]


def failure_text(state: str, failure: agent_pb2.AttemptFailure) -> Text:
    """How an attempt ended, why, and how to mend it."""
    text = Text(overflow="fold")
    text.append_text(pieces.state(state)).append(": ")
    if failure.code:
        text.append(f"[{wording.clean(failure.code)}] ", style="yellow")
    text.append(wording.clean_lines(failure.message))
    if failure.hint:
        text.append("\n  hint: ", style=pieces.QUIET).append(wording.clean_lines(failure.hint))
    return text


def _failure(step: op.StepView) -> Text | None:
    """Why a step is where it is: its own reason, else the failure of its newest attempt."""
    newest = step.attempts[-1] if step.attempts else None
    failed = newest is not None and newest.HasField("failure") and states.mood(step.state) is not states.Mood.GOOD
    message = step.reason or (newest.failure.message if newest and failed else "")
    if not message:
        return None
    hint = step.hint or (newest.failure.hint if newest and failed else "")
    text = Text(overflow="fold")
    text.append(f"{wording.clean(step.name)}: ", style="bold red")
    if newest and failed and newest.failure.code:
        text.append(f"[{wording.clean(newest.failure.code)}] ", style="yellow")
    text.append(wording.clean_lines(message))
    if hint:
        text.append("\n  hint: ", style=pieces.QUIET).append(wording.clean_lines(hint))
    if newest and failed and newest.failure.retryable:
        text.append("\n  trying again may help", style=pieces.QUIET)
    return text
