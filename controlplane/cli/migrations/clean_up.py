"""`haulier migration clean-up`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from controlplane.cli.asking import completing
from controlplane.cli.asking.options import OutputOption, ProfileOption
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.terminal import OutputFormat, complain, note, show_message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import Operator

_LOOK_EVERY_S = 0.5
_UNFINISHED = ("ready", "leased", "blocked")


def clean_up(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...", help="Names of migrations.", show_default=False, autocompletion=completing.migrations
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="After every migration that has ended.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is done; exit 0 only if all of it was.")] = False,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Remove what ended migrations left behind, before its time.

    That is staged parts, and what was at the destination before: a rollback can no longer put that back. What was
    published, its proof and the fence records stay.
    """
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import connect

    if bool(names) is every:
        raise Problem("name the migrations to clean up after, or say --all", code=Exit.USAGE)
    with connect(profile) as operator:
        request = op.CleanUpMigrationsRequest(migrations=names or [], all=every)
        answer = operator.call(request, op.CleanUpMigrationsResponse)
        failed = _await_end(operator, answer.cleaning) if wait else {}
    if output is OutputFormat.json:
        show_message(answer)
    else:
        for migration in answer.cleaning:
            if migration.name not in failed:
                note(f"{migration.name}: {'cleaned up' if wait else 'is being cleaned up'}")
        for name in answer.clean:
            note(f"{name}: nothing was left to remove")
        if not answer.cleaning and not answer.clean:
            note("nothing is left to remove")
    if failed:
        complain([problem for problems in failed.values() for problem in problems])
        raise typer.Exit(Exit.BAD_ANSWER)


def _await_end(operator: Operator, migrations: Sequence[op.MigrationSummary]) -> dict[str, list[Problem]]:
    """Waits until no clean-up of these is under way; the names of those with one that failed, with why."""
    from haulier.v1 import operator_pb2 as op

    failed = {}
    for migration in migrations:
        while True:
            found = operator.call(op.GetMigrationRequest(migration=migration.migration_id), op.GetMigrationResponse)
            steps = [step for step in found.steps if step.kind == "clean_up"]
            if not any(step.state in _UNFINISHED for step in steps):
                break
            time.sleep(_LOOK_EVERY_S)
        problems = [
            Problem(
                f"{migration.name}: {step.name}: {step.reason}",
                hint=step.hint or f"haulier migration get {migration.name}",
                code=Exit.BAD_ANSWER,
            )
            for step in steps
            if step.state == "failed"
        ]
        if problems:
            failed[migration.name] = problems
    return failed
