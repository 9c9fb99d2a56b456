"""`haulier rollout …`: bring hosts to a release, watch, stop, go back."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlplane.cli.asking import completing
from controlplane.cli.asking.options import OutputOption, ProfileOption, ReasonOption
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.terminal import OutputFormat, complain, note, show, show_message, stdout_look

if TYPE_CHECKING:
    from haulier.v1 import fleet_pb2 as fl

    from controlplane.cli.asking.connection import Operator

RolloutArgument = Annotated[
    str,
    typer.Argument(
        metavar="ROLLOUT",
        help="roll_… id, or the name of a Fleet for its newest.",
        autocompletion=completing.rollouts_in(),
    ),
]
StartedArgument = Annotated[
    str,
    typer.Argument(
        metavar="ROLLOUT",
        help="roll_… id, or the name of a Fleet for its newest.",
        autocompletion=completing.rollouts_in(*completing.STARTED),
    ),
]
PausedArgument = Annotated[
    str,
    typer.Argument(
        metavar="ROLLOUT",
        help="roll_… id, or the name of a Fleet for its newest.",
        autocompletion=completing.rollouts_in(*completing.PAUSED),
    ),
]
ResumedArgument = Annotated[
    str,
    typer.Argument(
        metavar="ROLLOUT",
        help="roll_… id, or the name of a Fleet for its newest.",
        autocompletion=completing.rollouts_in(*completing.RESUMED),
    ),
]
EndedArgument = Annotated[
    str,
    typer.Argument(
        metavar="ROLLOUT",
        help="roll_… id, or the name of a Fleet for its newest.",
        autocompletion=completing.rollouts_in(*completing.ENDED),
    ),
]
ReturnedArgument = Annotated[
    str,
    typer.Argument(
        metavar="ROLLOUT",
        help="roll_… id, or the name of a Fleet for its newest.",
        autocompletion=completing.rollouts_in(*completing.RETURNED),
    ),
]
FleetArgument = Annotated[
    str,
    typer.Argument(metavar="FLEET", help="Name of a Fleet.", autocompletion=completing.manifests("Fleet")),
]
WatchOption = Annotated[
    bool, typer.Option("--watch", "-w", help="Follow to its end, live; exit 0 only if that is what was asked for.")
]


def create(
    fleet: FleetArgument,
    release: Annotated[
        str,
        typer.Option("--release", metavar="VERSION", help="A published release. Else the one that the Fleet desires."),
    ] = "",
    propose: Annotated[
        bool, typer.Option("--propose", help="Only propose it: `haulier rollout start` starts it.")
    ] = False,
    supersede: Annotated[
        bool, typer.Option("--supersede", help="Cancel the rollout of this Fleet that is still open.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")] = "",
    live: WatchOption = False,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Bring the hosts of a Fleet to a release, wave by wave."""
    from haulier.v1 import fleet_pb2 as fl

    request = fl.CreateRolloutRequest(
        fleet=fleet,
        version=release,
        request_id=str(uuid.uuid4()),
        propose=propose,
        supersede=supersede,
        reason=reason,
    )
    _ask(
        request, fl.CreateRolloutResponse, "succeeded" if live and not propose else "", profile, output, repeatable=True
    )


def start(
    rollout: StartedArgument,
    live: WatchOption = False,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Start a rollout that was proposed."""
    from haulier.v1 import fleet_pb2 as fl

    request = fl.StartRolloutRequest(rollout=rollout)
    _ask(request, fl.StartRolloutResponse, "succeeded" if live else "", profile, output)


def pause(
    rollout: PausedArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Ask no further host; those on their way go on."""
    from haulier.v1 import fleet_pb2 as fl

    _ask(fl.PauseRolloutRequest(rollout=rollout, reason=reason), fl.PauseRolloutResponse, "", profile, output)


def resume(
    rollout: ResumedArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")] = "",
    live: WatchOption = False,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Go on with a paused or halted rollout. What halted it is forgiven."""
    from haulier.v1 import fleet_pb2 as fl

    request = fl.ResumeRolloutRequest(rollout=rollout, reason=reason)
    _ask(request, fl.ResumeRolloutResponse, "succeeded" if live else "", profile, output)


def cancel(
    rollout: EndedArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """End a rollout: no further host is asked, and those that have not switched stay as they are."""
    from haulier.v1 import fleet_pb2 as fl

    _ask(fl.CancelRolloutRequest(rollout=rollout, reason=reason), fl.CancelRolloutResponse, "", profile, output)


def rollback(
    rollout: ReturnedArgument,
    reason: ReasonOption,
    live: WatchOption = False,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Bring the hosts of a rollout back to the releases that they had."""
    from haulier.v1 import fleet_pb2 as fl

    request = fl.ReturnRolloutRequest(rollout=rollout, reason=reason)
    _ask(request, fl.ReturnRolloutResponse, "rolled_back" if live else "", profile, output)


def list_rollouts(
    fleet: Annotated[
        str | None,
        typer.Option(
            "--fleet",
            metavar="NAME",
            help="Only of this Fleet.",
            show_default=False,
            autocompletion=completing.manifests("Fleet"),
        ),
    ] = None,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """List rollouts, newest first."""
    from haulier.v1 import fleet_pb2 as fl

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.rollouts.tables import rollout_table

    with connect(profile) as operator:
        listing = operator.call(fl.ListRolloutsRequest(fleet=fleet or ""), fl.ListRolloutsResponse)
    if output is OutputFormat.json:
        show_message(listing)
    else:
        show(rollout_table(listing.rollouts, stdout_look(output)), output)


def get(
    rollout: RolloutArgument,
    hosts: Annotated[bool, typer.Option("--hosts", help="List every host with its state and cause.")] = False,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Show one rollout."""
    from haulier.v1 import fleet_pb2 as fl
    from rich.console import Group
    from rich.text import Text

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.rollouts.tables import host_table, rollout_page

    with connect(profile) as operator:
        answer = operator.call(fl.GetRolloutRequest(rollout=rollout, with_hosts=hosts), fl.GetRolloutResponse)
    look = stdout_look(output)
    if output is OutputFormat.json:
        show_message(answer)
    elif hosts:
        show(Group(rollout_page(answer.rollout, look), Text(), host_table(answer.hosts, look)), output)
    else:
        show(rollout_page(answer.rollout, look), output)


def watch(rollout: RolloutArgument, profile: ProfileOption = None, output: OutputOption = OutputFormat.table) -> None:
    """Follow a rollout until it succeeded, halted, was cancelled or went back. Exit 0 only if it succeeded."""
    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        _follow(operator, rollout, output, "succeeded")


def _ask(
    request: Any, kind: Any, wished: str, profile: str | None, output: OutputFormat, *, repeatable: bool = False
) -> None:
    """Asks for a change of one rollout and shows it; with a `wished` end, follows it there first."""
    from controlplane.cli.asking.connection import connect
    from controlplane.cli.rollouts.tables import rollout_page

    with connect(profile) as operator:
        answer = operator.call(request, kind, repeatable=repeatable)
        if wished:
            _follow(operator, answer.rollout.rollout_id, output, wished)
            return
    if output is OutputFormat.json:
        show_message(answer)
    else:
        show(rollout_page(answer.rollout, stdout_look(output)), output)
        if answer.rollout.state in ("running", "rolling_back"):
            note(f"`haulier rollout watch {answer.rollout.rollout_id}` shows how it moves")


def _follow(operator: Operator, rollout: str, output: OutputFormat, wished: str) -> None:
    """Watches to the end, prints it, and exits 1 when it did not end as wished."""
    from controlplane.cli.rollouts import watching
    from controlplane.cli.rollouts.tables import rollout_page

    look = stdout_look(output)
    if output is OutputFormat.json:
        ended = watching.watch(operator, rollout, watching.SilentRollout())
        show_message(ended)
    elif look.terminal:
        with watching.LiveRollout(look) as screen:
            ended = watching.watch(operator, rollout, screen)
        show(rollout_page(ended, look), output)
    else:
        ended = watching.watch(operator, rollout, watching.PlainRollout())
    if ended.state != wished:
        complain([_problem(ended)])
        raise typer.Exit(Exit.BAD_ANSWER)


def _problem(ended: fl.RolloutView) -> Problem:
    from controlplane.cli.rollouts.tables import why

    hints = {
        "halted": "`haulier rollout get ROLLOUT --hosts` names the hosts; then `resume`, `rollback` or `cancel`",
        "rolled_back": "`haulier rollout get ROLLOUT --hosts` names the hosts and what they said",
    }
    told = why(ended)
    return Problem(
        f"rollout {ended.rollout_id} is {ended.state.replace('_', ' ')}{': ' + told if told else ''}",
        hint=hints.get(ended.state, "").replace("ROLLOUT", ended.rollout_id),
        code=Exit.BAD_ANSWER,
    )


def noun() -> typer.Typer:
    """`haulier rollout`."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Bring hosts to a release, and back.")
    app.command("create")(create)
    app.command("start")(start)
    app.command("list")(list_rollouts)
    app.command("get")(get)
    app.command("watch")(watch)
    app.command("pause")(pause)
    app.command("resume")(resume)
    app.command("cancel")(cancel)
    app.command("rollback")(rollback)
    return app
