"""`haulier status`, `why`, `events` and `logs`: looking without touching."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.commands.options import OutputOption, ProfileOption
from controlplane.cli.exits import Exit
from controlplane.cli.problems import Problem
from controlplane.cli.terminal import OutputFormat, note, show, show_json, show_message, stdout_look, write, write_bytes

if TYPE_CHECKING:
    from controlplane.cli.connection import Operator

FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")]


def status(profile: ProfileOption = None, output: OutputOption = OutputFormat.table) -> None:
    """Show the control plane: counts by state, loops, last errors."""
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.connection import connect
    from controlplane.cli.render_status import status_page

    with connect(profile) as operator:
        answer = operator.call(op.GetStatusRequest(), op.GetStatusResponse)
        address = operator.address
    if output is OutputFormat.json:
        show_message(answer)
    else:
        show(status_page(answer, address), output)


def why(
    subject: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="step_… or mig_… id, MIGRATION, or MIGRATION/STEP.")
    ],
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Name everything that holds a step, and what would lift it."""
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.connection import connect
    from controlplane.cli.render_why import holds

    with connect(profile) as operator:
        answer = operator.call(op.WhyRequest(subject=subject), op.WhyResponse)
    if output is OutputFormat.json:
        show_message(answer)
    else:
        show(holds(answer), output)


def events(
    follow: FollowOption = False,
    subject: Annotated[
        str | None,
        typer.Option(
            "--subject",
            metavar="SUBJECT",
            help="Only about this: a migration's or agent's name, a mig_…, step_… or ag_… id, or KIND/NAME.",
            show_default=False,
        ),
    ] = None,
    after: Annotated[int, typer.Option("--after", metavar="POSITION", min=0, help="Only after this position.")] = 0,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Print the log of every change, oldest first.

    With -o json: one object per line.
    """
    from controlplane.cli.connection import connect
    from controlplane.cli.following import events_from
    from controlplane.cli.render_events import event_line

    look = stdout_look(output)
    with connect(profile) as operator:
        wanted = _subject_id(operator, subject) if subject else ""
        for event in events_from(operator, after=after, subject=wanted, follow=follow):
            if output is OutputFormat.json:
                show_message(event, line=True)
            else:
                show(event_line(event, look), output)


def _subject_id(operator: Operator, subject: str) -> str:
    """What the event log calls a subject that a person may name. Raises Problem where nothing has that name."""
    from haulier.v1 import operator_pb2 as op

    if subject.startswith(("mig_", "step_", "ag_", "roll_")) or "/" in subject:
        return subject
    agents = operator.call(op.ListAgentsRequest(), op.ListAgentsResponse).agents
    for agent in agents:
        if agent.name == subject:
            return agent.agent_id
    answer = operator.call(op.GetMigrationRequest(migration=subject), op.GetMigrationResponse)
    return answer.migration.migration_id


def logs(
    attempt: Annotated[
        str, typer.Argument(metavar="ATTEMPT", help="att_… id, or MIGRATION/STEP or MIGRATION for the newest attempt.")
    ],
    follow: FollowOption = False,
    raw: Annotated[bool, typer.Option("--raw", help="Bytes as they are, control characters too.")] = False,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Print the output of an attempt.

    With -o json: one object per piece.
    """
    from controlplane.cli.connection import connect
    from controlplane.cli.following import LogText, log_pieces

    with connect(profile) as operator:
        attempt_id = attempt if attempt.startswith("att_") else _newest_attempt(operator, attempt)
        text = LogText()
        nothing = True
        for piece in log_pieces(operator, attempt_id, follow=follow):
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
            note("nothing was printed" + ("" if follow else " so far; --follow waits while the attempt runs"))


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
