"""`haulier status`, `why`, `events` and `logs`: looking without touching."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.asking import completing
from controlplane.cli.asking.options import OutputOption, ProfileOption
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.terminal import (
    OutputFormat,
    note,
    show,
    show_json,
    show_message,
    stdout_look,
    write,
    write_bytes,
)

if TYPE_CHECKING:
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import Operator

FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Keep following what comes.")]


def status(profile: ProfileOption = None, output: OutputOption = OutputFormat.table) -> None:
    """Show the control plane: counts by state, loops, last errors."""
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.health.status import status_page

    with connect(profile) as operator:
        answer = operator.call(op.GetStatusRequest(), op.GetStatusResponse)
        address = operator.address
    if output is OutputFormat.json:
        show_message(answer)
    else:
        show(status_page(answer, address), output)


def why(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT",
            help="step_… or mig_… id, MIGRATION, or MIGRATION/STEP.",
            autocompletion=completing.steps,
        ),
    ],
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Name everything that holds a step, and what would lift it."""
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.migrations.why import holds

    with connect(profile) as operator:
        answer = operator.call(op.WhyRequest(subject=subject), op.WhyResponse)
    if output is OutputFormat.json:
        show_message(answer)
    else:
        show(holds(answer), output)


def events(
    follow: FollowOption = False,
    tail: Annotated[
        int, typer.Option("--tail", metavar="N", min=0, help="Only the newest N; with --follow, begin with them.")
    ] = 0,
    since: Annotated[
        str,
        typer.Option("--since", metavar="TIME", help="Only since then: 10m, 2h, or 2026-01-31T12:00:00Z."),
    ] = "",
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type", metavar="TYPE", help="Only of this type, such as StepFailed; may be repeated.", show_default=False
        ),
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(
            "--subject",
            metavar="SUBJECT",
            help="Only about this: MIGRATION, MIGRATION/STEP, an agent's name, KIND/NAME, or any id.",
            show_default=False,
            autocompletion=completing.steps,
        ),
    ] = None,
    after: Annotated[int, typer.Option("--after", metavar="POSITION", min=0, help="Only after this position.")] = 0,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Print the log of every change, oldest first.

    With -o json: one object per line.
    """
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.events.following import events_from
    from controlplane.cli.events.tables import event_line

    look = stdout_look(output)
    request = op.WatchEventsRequest(after=after, subject=subject or "", follow=follow, tail=tail, types=types or [])
    _set_since(request, since)
    with connect(profile) as operator:
        for event in events_from(operator, request):
            if output is OutputFormat.json:
                show_message(event, line=True)
            else:
                show(event_line(event, look), output)


def _set_since(request: op.WatchEventsRequest, text: str) -> None:
    """A duration counts on the control plane's clock, so that the one here does not matter. Raises Problem."""
    from datetime import UTC, datetime

    from controlplane.manifests.kinds.model import duration_s

    if not text:
        return
    try:
        request.since_ago_s = duration_s(text)
    except ValueError:
        try:
            instant = datetime.fromisoformat(text)
        except ValueError:
            raise Problem(
                f"--since {text} is neither a duration nor an instant",
                hint="write 10m, 2h or 3d, or an instant such as 2026-01-31T12:00:00Z",
                code=Exit.USAGE,
            ) from None
        request.since_at = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


def logs(
    attempt: Annotated[
        str,
        typer.Argument(
            metavar="ATTEMPT",
            help="att_… id, or MIGRATION/STEP or MIGRATION for the newest attempt.",
            autocompletion=completing.steps,
        ),
    ],
    follow: FollowOption = False,
    raw: Annotated[bool, typer.Option("--raw", help="Print the bytes unchanged, control characters too.")] = False,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Print the output of an attempt.

    With -o json: one object per piece.
    """
    from controlplane.cli.asking.connection import connect
    from controlplane.cli.events.following import LogText, log_pieces

    with connect(profile) as operator:
        attempt_id = attempt if attempt.startswith("att_") else _newest_attempt(operator, attempt)
        text = LogText()
        nothing, end = True, None
        for piece in log_pieces(operator, attempt_id, follow=follow):
            if piece.state:
                end = piece
                continue
            nothing = False
            if output is OutputFormat.json:
                show_json(
                    {"text": piece.data.decode("utf-8", "replace"), "dropped_bytes": piece.dropped_bytes}, line=True
                )
            elif raw:
                write_bytes(piece.data)
            else:
                write(text.take(piece))
        if output is not OutputFormat.json and not raw:
            write(text.rest())
        if nothing:
            more = "" if follow or end is not None else " so far; --follow waits while the attempt runs"
            note(f"nothing was printed{more}")
        if end is not None:
            _tell_end(end, output, raw=raw)


def _tell_end(end: op.TailLogsResponse, output: OutputFormat, *, raw: bool) -> None:
    """How an attempt ended, and why it did not succeed: behind its output, and beside raw bytes."""
    from controlplane.cli.migrations.tables import failure_text
    from controlplane.cli.screen.as_json import as_dict

    failed = end.HasField("failure")
    if output is OutputFormat.json:
        show_json({"state": end.state, "failure": as_dict(end.failure) if failed else None}, line=True)
    elif raw:
        note(f"the attempt {end.state}" + (f": {end.failure.message}" if failed else ""))
    elif failed:
        show(failure_text(end.state, end.failure), output)
    else:
        note(f"the attempt {end.state}")


def _newest_attempt(operator: Operator, subject: str) -> str:
    from haulier.v1 import operator_pb2 as op

    migration, _, step_name = subject.partition("/")
    answer = operator.call(op.GetMigrationRequest(migration=migration), op.GetMigrationResponse)
    steps = [step for step in answer.steps if not step_name or step.name == step_name]
    if not steps:
        raise Problem(
            f"{migration} has no step {step_name}",
            hint=f"its steps: {', '.join(step.name for step in answer.steps)}",
            code=Exit.NOT_FOUND,
        )
    tried = [step for step in steps if step.attempts]
    if not tried:
        raise Problem(f"no attempt was made at {subject} yet", hint=f"haulier why {subject}", code=Exit.NOT_FOUND)
    newest = tried[-1].attempts[-1]
    note(f"{migration}/{tried[-1].name}, attempt {newest.number} on {newest.agent}: {newest.attempt_id}")
    return newest.attempt_id
