"""`haulier migration …` and its aliases at the top level."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.asking import completing
from controlplane.cli.asking.options import OutputOption, ProfileOption, ReasonOption
from controlplane.cli.migrations import choosing
from controlplane.cli.migrations import clean_up as cleaning
from controlplane.cli.migrations.grouping import Grouping, meant, show_reasons
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.states import ENDED_WELL, MIGRATION_STATES
from controlplane.cli.screen.terminal import OutputFormat, complain, note, show, show_message, stdout_look, write

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import Operator

    Changed = (
        op.CancelMigrationResponse
        | op.RetryMigrationResponse
        | op.RollbackMigrationResponse
        | op.AcceptMigrationResponse
        | op.AbandonMigrationResponse
    )

MigrationArgument = Annotated[
    str, typer.Argument(metavar="MIGRATION", help="Name or mig_… id.", autocompletion=completing.migrations)
]
RetriedArgument = Annotated[
    str,
    typer.Argument(
        metavar="MIGRATION", help="Name or mig_… id.", autocompletion=completing.migrations_in(*completing.RETRIED)
    ),
]


def _names_in(*states: str) -> Any:
    """Names of migrations, several; completion offers those in these states."""
    return typer.Argument(
        metavar="[NAME]...",
        help="Names or mig_… ids.",
        show_default=False,
        autocompletion=completing.migrations_in(*states),
    )


CancelledNames = Annotated[list[str] | None, _names_in(*completing.CANCELLED)]
RetriedNames = Annotated[list[str] | None, _names_in(*completing.RETRIED)]
RolledBackNames = Annotated[list[str] | None, _names_in(*completing.ROLLED_BACK)]
WaitOption = Annotated[
    bool, typer.Option("--wait", help="Wait for the end; exit 0 only if that is what was asked for.")
]
NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME]...",
        help="Names of migrations.",
        show_default=False,
        autocompletion=completing.migrations_in(*completing.WATCHED),
    ),
]
StartableArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME]...",
        help="Names of migrations.",
        show_default=False,
        autocompletion=completing.startable,
    ),
]


def start(
    names: StartableArgument = None,
    every: Annotated[bool, typer.Option("--all", help="Start all that were applied and never started.")] = False,
    state: choosing.StateOption = None,
    selector: choosing.SelectorOption = None,
    owner: choosing.OwnerOption = None,
    dry_run: choosing.DryRunOption = False,
    yes: choosing.YesOption = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; exit 0 only if all are verified.")] = False,
    live: Annotated[bool, typer.Option("--watch", "-w", help="Like --wait, with live progress.")] = False,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Start migrations that were applied.

    One that has ended starts again, as its next iteration; what the earlier ones proved stays. Filters find what was
    never started, unless --state says otherwise.
    """
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.inventory.tables import warnings

    if not (names or every or state or selector or owner):
        raise Problem(
            "name the migrations to start, or say --all for all that were never started",
            hint="`haulier migration list --applied` names them; then, for example: `haulier migration start NAME`",
            code=Exit.USAGE,
        )
    chosen = choosing.choice(names, state, selector, owner, otherwise=every)
    request = op.StartMigrationsRequest(names=names or [], request_id=str(uuid.uuid4()))
    if chosen.filters:
        request.selection.CopyFrom(chosen.selection())
    with connect(profile) as operator:
        answer = choosing.submit(
            operator,
            request,
            op.StartMigrationsResponse,
            "started",
            asks=chosen.filters,
            dry_run=dry_run,
            yes=yes,
        )
        if answer.warnings and output is not OutputFormat.json:
            note(warnings(answer.warnings))
        if dry_run:
            choosing.show_dry_run(answer, "started", output)
            return
        if wait or live:
            subjects = [migration.migration_id for migration in answer.started] + list(answer.already_started)
            if not subjects:
                note("nothing to start: every migration was started before")
            _complain_of(answer.held)
            _follow(operator, subjects, output, live=live)
            _end_with(answer.held)
            return
    _show_started(answer, output)


def _show_started(answer: op.StartMigrationsResponse, output: OutputFormat) -> None:
    from controlplane.cli.migrations.tables import migration_table

    if output is OutputFormat.json:
        show_message(answer)
        return
    if answer.started:
        show(migration_table(answer.started, stdout_look(output)), output)
        note(f"{len(answer.started)} started; `haulier migration watch` shows how they move")
    elif not answer.already_started:
        note("nothing to start: every migration was started before; one that ended starts again by its name")
    for name in answer.already_started:
        note(f"{name} is running already; `haulier migration watch {name}` shows how it moves")
    choosing.say_not_approved(answer.outcome)
    _complain_of(answer.held)
    _end_with(answer.held)


def _complain_of(held: Sequence[op.HeldMigration]) -> None:
    if held:
        complain([Problem(each.reason, code=Exit.CONFLICT) for each in held])


def _end_with(held: Sequence[op.HeldMigration]) -> None:
    if held:
        raise typer.Exit(Exit.CONFLICT)


def watch(
    names: NamesArgument = None,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Follow migrations until they have ended.

    Without names: all that have not ended, and those that are started meanwhile.
    """
    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        _follow(operator, names or [], output, live=True)


def _follow(
    operator: Operator,
    subjects: Collection[str],
    output: OutputFormat,
    *,
    live: bool,
    wished: Collection[str] = ENDED_WELL,
) -> None:
    """Watches to the end, prints it, and exits 1 when a migration did not end as wished."""
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.migrations import watching
    from controlplane.cli.migrations.tables import left_behind, migration_table, problems_of, verdict

    look = stdout_look(output)
    with watching.screen_for(look, live=live, silent=output is OutputFormat.json) as screen:
        ended = watching.watch(operator, subjects, screen)
    if output is OutputFormat.json:
        show_message(op.ListMigrationsResponse(migrations=ended))
    elif not ended:
        note("nothing to watch: no migration is under way")
    else:
        if look.terminal:
            show(migration_table(ended, stdout_look(output), reasons=False), output)
        write("\n")
        show(verdict(ended), output)
        beside = left_behind(ended)
        if beside is not None:
            write("\n")
            show(beside, output)
    bad = [migration for migration in ended if migration.state not in wished]
    if bad:
        complain(problems_of(bad))
        raise typer.Exit(Exit.BAD_ANSWER)


def list_migrations(
    states: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help="Only these; may be given again.",
            show_default=False,
            autocompletion=completing.words(MIGRATION_STATES),
        ),
    ] = None,
    by: Annotated[
        Grouping | None,
        typer.Option(
            "--by", help="Group those that failed, are stuck or were cancelled by their reason.", show_default=False
        ),
    ] = None,
    live: Annotated[bool, typer.Option("--watch", "-w", help="Follow those under way, live.")] = False,
    every: Annotated[
        bool, typer.Option("--every-iteration", help="List every run of a name, not only the newest.")
    ] = False,
    applied: Annotated[
        bool, typer.Option("--applied", help="List what was applied instead, whether it was started or not.")
    ] = False,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """List migrations and how far they are."""
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.migrations.tables import migration_table

    for state in states or []:
        if state not in MIGRATION_STATES:
            raise Problem(
                f"{state} is not a state of a migration",
                hint=meant(state),
                code=Exit.USAGE,
            )
    with connect(profile) as operator:
        if applied:
            _list_applied(operator, output)
            return
        if live:
            _follow(operator, [], output, live=True)
            return
        request = op.ListMigrationsRequest(states=states or [], every_iteration=every)
        listing = operator.listing(request, op.ListMigrationsResponse)
    if by is Grouping.REASON:
        show_reasons(listing.migrations, output)
    elif output is OutputFormat.json:
        show_message(listing)
    else:
        show(migration_table(listing.migrations, stdout_look(output)), output)


def _list_applied(operator: Operator, output: OutputFormat) -> None:
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.inventory.tables import manifest_table

    listing = operator.listing(op.ListManifestsRequest(kind="Migration"), op.ListManifestsResponse)
    if output is OutputFormat.json:
        show_message(listing)
    else:
        show(manifest_table(listing, "Migration", stdout_look(output)), output)


def get(
    migration: MigrationArgument,
    iteration: Annotated[
        int, typer.Option("--iteration", min=0, help="Which run of that name; 0 is the newest.", show_default=False)
    ] = 0,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Show one migration: steps, attempts, failures, proof; of an earlier run too."""
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.migrations.tables import migration_page

    with connect(profile) as operator:
        request = op.GetMigrationRequest(migration=migration, iteration=iteration)
        answer = operator.call(request, op.GetMigrationResponse)
    if output is OutputFormat.json:
        show_message(answer)
    else:
        show(migration_page(answer, stdout_look(output)), output)


def cancel(
    reason: ReasonOption,
    names: CancelledNames = None,
    state: choosing.StateOption = None,
    selector: choosing.SelectorOption = None,
    owner: choosing.OwnerOption = None,
    dry_run: choosing.DryRunOption = False,
    yes: choosing.YesOption = False,
    wait: WaitOption = False,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Stop migrations and undo what their steps may have written."""
    from haulier.v1 import operator_pb2 as op

    chosen = choosing.choice(names, state, selector, owner)
    request = op.CancelMigrationRequest(reason=reason)
    wished = {"cancelled"} if wait else None
    _change(chosen, request, op.CancelMigrationResponse, "cancelled", wished, profile, output, dry_run=dry_run, yes=yes)


def retry(
    names: RetriedNames = None,
    state: choosing.StateOption = None,
    selector: choosing.SelectorOption = None,
    owner: choosing.OwnerOption = None,
    dry_run: choosing.DryRunOption = False,
    yes: choosing.YesOption = False,
    wait: WaitOption = False,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Let failed or stuck migrations go on.

    Each goes on where it stopped. Where its former content was put back, or the Dataset or its Datastore has changed,
    it begins again at its first step and takes the source side as it is applied now; what it took is listed.
    """
    from haulier.v1 import operator_pb2 as op

    chosen = choosing.choice(names, state, selector, owner)
    request = op.RetryMigrationRequest()
    # What a retry leads to depends on what was stuck: the way forward, or the way back.
    wished = {"succeeded", "rolled_back", "cancelled"} if wait else None
    _change(chosen, request, op.RetryMigrationResponse, "retried", wished, profile, output, dry_run=dry_run, yes=yes)


def rollback(
    reason: ReasonOption,
    names: RolledBackNames = None,
    discard_changes: Annotated[
        bool,
        typer.Option(
            "--discard-changes",
            help="Undo also what others changed or replaced at the destination since: it is lost. Stuck ones too.",
        ),
    ] = False,
    state: choosing.StateOption = None,
    selector: choosing.SelectorOption = None,
    owner: choosing.OwnerOption = None,
    dry_run: choosing.DryRunOption = False,
    yes: choosing.YesOption = False,
    wait: WaitOption = False,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Undo migrations in reverse order, before their cut-over."""
    from haulier.v1 import operator_pb2 as op

    chosen = choosing.choice(names, state, selector, owner)
    request = op.RollbackMigrationRequest(reason=reason, discard_changes=discard_changes)
    wished = {"rolled_back"} if wait else None
    kind = op.RollbackMigrationResponse
    _change(chosen, request, kind, "rolled back", wished, profile, output, dry_run=dry_run, yes=yes)


def _change(
    chosen: choosing.Choice,
    request: Any,
    kind: type[Changed],
    verb: str,
    wished: Collection[str] | None,
    profile: str | None,
    output: OutputFormat,
    *,
    dry_run: bool,
    yes: bool,
) -> None:
    """Asks for a change of what was chosen and shows it; with `wished` end states, waits for the end first."""
    from controlplane.cli.asking.connection import connect

    if len(chosen.names) == 1 and not dry_run:
        request.migration = chosen.names[0]
        _ask(request, kind, wished, profile, output)
        return
    request.selection.CopyFrom(chosen.selection())
    with connect(profile) as operator:
        asks = chosen.filters
        answer = choosing.submit(operator, request, kind, verb, asks=asks, dry_run=dry_run, yes=yes)
        if dry_run:
            choosing.show_dry_run(answer, verb, output)
            return
        if wished is not None and answer.migrations:
            choosing.say_left_out(answer.outcome)
            ids = [migration.migration_id for migration in answer.migrations]
            _follow(operator, ids, output, live=True, wished=wished)
            return
    choosing.show_done(answer, verb, output)


def accept(
    migration: RetriedArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """End a failed or stuck migration: what is at the destination is right. Nothing more is done there."""
    from haulier.v1 import operator_pb2 as op

    request = op.AcceptMigrationRequest(migration=migration, reason=reason)
    _ask(request, op.AcceptMigrationResponse, None, profile, output)


def abandon(
    migration: RetriedArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Give up a failed or stuck migration. Nothing more is done, and the destination is left as it is."""
    from haulier.v1 import operator_pb2 as op

    request = op.AbandonMigrationRequest(migration=migration, reason=reason)
    _ask(request, op.AbandonMigrationResponse, None, profile, output)


def _ask(
    request: Message,
    kind: type[Changed],
    wished: Collection[str] | None,
    profile: str | None,
    output: OutputFormat,
) -> None:
    """Asks for a change of one migration and shows it; with `wished` end states, waits for the end first."""
    from controlplane.cli.asking.connection import connect
    from controlplane.cli.migrations.tables import migration_table

    with connect(profile) as operator:
        answer = operator.call(request, kind, repeatable=False)
        _say_what_was_taken(answer)
        if wished is not None:
            _follow(operator, [answer.migration.migration_id], output, live=True, wished=wished)
            return
    if output is OutputFormat.json:
        show_message(answer)
    else:
        show(migration_table([answer.migration], stdout_look(output)), output)


def _say_what_was_taken(answer: Changed) -> None:
    """Says why a retry begins again, and with what."""
    from haulier.v1 import operator_pb2 as op

    if not isinstance(answer, op.RetryMigrationResponse):
        return
    if answer.begins_again_because:
        note(f"{answer.migration.name} begins again at its first step: {answer.begins_again_because}")
    for each in answer.taken:
        note(f"  took {each.manifest} {each.field}: {each.old_json or 'unset'} -> {each.new_json or 'unset'}")


def noun() -> typer.Typer:
    """`haulier migration`."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Start, follow, stop and undo migrations.")
    app.command("start")(start)
    app.command("watch")(watch)
    app.command("list")(list_migrations)
    app.command("get")(get)
    app.command("cancel")(cancel)
    app.command("retry")(retry)
    app.command("rollback")(rollback)
    app.command("clean-up")(cleaning.clean_up)
    app.command("accept")(accept)
    app.command("abandon")(abandon)
    return app
