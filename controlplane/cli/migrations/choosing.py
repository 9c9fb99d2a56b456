"""Which migrations a verb is about: names, or filters; and asking before filters have an effect."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.inventory.deleting import labels_of
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.states import MIGRATION_STATES
from controlplane.cli.screen.terminal import OutputFormat, complain, note, show, show_message, stdout_look, write

if TYPE_CHECKING:
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import Operator

StateOption = Annotated[
    list[str] | None,
    typer.Option("--state", metavar="STATE", help="All in this state; may be given again.", show_default=False),
]
SelectorOption = Annotated[
    list[str] | None,
    typer.Option(
        "--selector",
        "-l",
        metavar="KEY=VALUE",
        help="All whose Migration carries this label; may be given again, and then all must hold.",
        show_default=False,
    ),
]
OwnerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--owner", metavar="OWNER", help="All whose dataset is this owner's; may be given again.", show_default=False
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation when filters are used.")]

_NAMED_MAX = 20


@dataclass(frozen=True, slots=True)
class Choice:
    """What was given on the command line."""

    names: Sequence[str]
    states: Sequence[str]
    labels: dict[str, str]
    owners: Sequence[str]

    @property
    def filters(self) -> bool:
        """Whether it depends on what there is."""
        return bool(self.states or self.labels or self.owners)

    def selection(self) -> op.MigrationSelection:
        """As the contract has it."""
        from haulier.v1 import operator_pb2 as op

        return op.MigrationSelection(names=self.names, states=self.states, labels=self.labels, owners=self.owners)


def choice(
    names: Sequence[str] | None,
    states: Sequence[str] | None,
    selector: Sequence[str] | None,
    owners: Sequence[str] | None,
    *,
    otherwise: bool = False,
) -> Choice:
    """Read the options. Raises Problem unless it is either names or filters; `otherwise` something else was given."""
    chosen = Choice(names or (), states or (), labels_of(selector or ()), owners or ())
    for state in chosen.states:
        if state not in MIGRATION_STATES:
            hint = f"one of {', '.join(MIGRATION_STATES)}"
            raise Problem(f"{state} is not a state of a migration", hint=hint, code=Exit.USAGE)
    if sum((bool(chosen.names), chosen.filters, otherwise)) != 1:
        raise Problem(
            "name migrations, or choose them by --state, --selector and --owner: one of the two",
            hint="`haulier migration list` names them; --dry-run shows what filters find",
            code=Exit.USAGE,
        )
    return chosen


def submit(operator: Operator, request: Any, kind: Any, verb: str, *, asks: bool, dry_run: bool, yes: bool) -> Any:
    """Makes a call for a selection; where filters chose, shows what they found and asks first.

    Returns the answer; None when there was nothing to do, or a dry run was all that was wanted.
    """
    if dry_run or (asks and not yes):
        request.dry_run = True
        found = operator.call(request, kind)
        request.dry_run = False
        if dry_run or not found.outcome.names:
            return found
        _show_found(found.outcome, verb)
        _agree(verb, len(found.outcome.names))
        request.plan_hash = found.outcome.plan_hash
    request.request_id = str(uuid.uuid4())
    return operator.call(request, kind)


def show_dry_run(answer: Any, verb: str, output: OutputFormat) -> None:
    """Prints what would be done: the names on standard output, all else beside it."""
    if output is OutputFormat.json:
        show_message(answer)
        return
    for name in answer.outcome.names:
        write(name + "\n")
    say_left_out(answer.outcome)
    note(f"{_many(len(answer.outcome.names))} would be {verb}; nothing was done")
    if answer.outcome.needs_approval:
        note("a second person must agree first: the command without --dry-run asks for that")


def show_done(answer: Any, verb: str, output: OutputFormat) -> None:
    """Prints what was done for a selection; exits 5 when something was left out."""
    from controlplane.cli.migrations.tables import migration_table

    if output is OutputFormat.json:
        show_message(answer)
    elif answer.migrations:
        show(migration_table(answer.migrations, stdout_look(output)), output)
    if output is not OutputFormat.json:
        note(f"{_many(len(answer.outcome.names))} {verb}")
        say_left_out(answer.outcome)
    if answer.outcome.left_out:
        raise typer.Exit(Exit.CONFLICT)


def say_left_out(outcome: op.SelectionOutcome) -> None:
    """Says what was left out, and why."""
    complain([Problem(each.reason, code=Exit.CONFLICT) for each in outcome.left_out])
    for name in outcome.already:
        note(f"{name}: it is so already, or on its way")
    say_not_approved(outcome)


def say_not_approved(outcome: op.SelectionOutcome) -> None:
    """Says what came to match after the approval was given."""
    if outcome.not_approved:
        said = ", ".join(outcome.not_approved)
        note(
            f"not approved, and left out: {said}. They came after the approval: give the command again to ask for them"
        )


def _show_found(outcome: op.SelectionOutcome, verb: str) -> None:
    for name in outcome.names[:_NAMED_MAX]:
        note(f"  {name}")
    if len(outcome.names) > _NAMED_MAX:
        note(f"  … and {len(outcome.names) - _NAMED_MAX} more")
    note(f"{_many(len(outcome.names))} would be {verb}")
    say_left_out(outcome)


def _agree(verb: str, number: int) -> None:
    if not (sys.stdin.isatty() and stdout_look().terminal):
        raise Problem(
            f"nothing was done: {_many(number)} would be {verb}",
            hint="say --yes to agree beforehand",
            code=Exit.CONFLICT,
        )
    if not typer.confirm(f"{_many(number)} will be {verb}. Go on?", err=True):
        raise Problem("nothing was done", code=Exit.CONFLICT)


def _many(number: int) -> str:
    return "1 migration" if number == 1 else f"{number} migrations"
