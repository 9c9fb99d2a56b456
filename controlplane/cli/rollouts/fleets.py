"""`haulier fleet …`, and what `haulier agent` does with single hosts."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from controlplane.cli.asking import completing
from controlplane.cli.asking.options import OutputOption, ProfileOption, ReasonOption
from controlplane.cli.health import fleet_health as health
from controlplane.cli.inventory import commands as manifests
from controlplane.cli.screen.exits import Exit
from controlplane.cli.screen.problems import Problem
from controlplane.cli.screen.terminal import OutputFormat, note, show, show_message, stdout_look

AgentArgument = Annotated[
    str, typer.Argument(metavar="AGENT", help="Name or ag_… id.", autocompletion=completing.agents)
]
UncordonedArgument = Annotated[
    str,
    typer.Argument(metavar="AGENT", help="Name or ag_… id.", autocompletion=completing.agents_that(completing.is_open)),
]
CordonedArgument = Annotated[
    str,
    typer.Argument(
        metavar="AGENT", help="Name or ag_… id.", autocompletion=completing.agents_that(completing.is_cordoned)
    ),
]


def status(
    fleet: Annotated[
        str | None,
        typer.Argument(
            metavar="[FLEET]",
            help="Name of a Fleet. Else all of them.",
            show_default=False,
            autocompletion=completing.manifests("Fleet"),
        ),
    ] = None,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Compare fleets with what is desired of them, and show how much work waits. Exit 1 if one is unhealthy."""
    from haulier.v1 import fleet_pb2 as fl

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.rollouts.tables import fleet_page

    with connect(profile) as operator:
        answer = operator.call(fl.GetFleetStatusRequest(fleet=fleet or ""), fl.GetFleetStatusResponse)
    if output is OutputFormat.json:
        show_message(answer)
    else:
        show(fleet_page(answer, stdout_look(output)), output)
    if any(each.problems for each in answer.fleets):
        raise typer.Exit(Exit.BAD_ANSWER)


def hosts(profile: ProfileOption = None, output: OutputOption = OutputFormat.table) -> None:
    """List hosts: what they are, what they run, what their owners said."""
    from haulier.v1 import fleet_pb2 as fl

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.rollouts.tables import facts_table

    with connect(profile) as operator:
        listing = operator.call(fl.ListHostsRequest(), fl.ListHostsResponse)
    if output is OutputFormat.json:
        show_message(listing)
    else:
        show(facts_table(listing, stdout_look(output)), output)


def cordon(
    agent: UncordonedArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Give a host no new work. What it holds goes on, and the host is not told."""
    from haulier.v1 import fleet_pb2 as fl

    _ask(fl.CordonAgentRequest(agent=agent, reason=reason), fl.CordonAgentResponse, profile, output)


def uncordon(agent: CordonedArgument, profile: ProfileOption = None, output: OutputOption = OutputFormat.table) -> None:
    """Give a cordoned host work again."""
    from haulier.v1 import fleet_pb2 as fl

    _ask(fl.UncordonAgentRequest(agent=agent), fl.UncordonAgentResponse, profile, output)


def label(
    agent: AgentArgument,
    labels: Annotated[
        list[str],
        typer.Argument(
            metavar="LABEL...",
            help="KEY=VALUE overrides the host's own, KEY- removes it, KEY~ goes back to the host's.",
        ),
    ],
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Override the labels that a host reports."""
    from haulier.v1 import fleet_pb2 as fl

    request = fl.LabelAgentRequest(agent=agent)
    for text in labels:
        key, equals, value = text.partition("=")
        if equals:
            request.labels[key] = value
        elif text.endswith("-"):
            request.removed.append(text[:-1])
        elif text.endswith("~"):
            request.cleared.append(text[:-1])
        else:
            raise Problem(f"{text} is not a label", hint="write KEY=VALUE, KEY- or KEY~", code=Exit.USAGE)
    _ask(request, fl.LabelAgentResponse, profile, output)


def decommission(
    agent: AgentArgument,
    reason: ReasonOption,
    force: Annotated[bool, typer.Option("--force", help="Also while it holds leases: others get them later.")] = False,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Remove a host for good: its certificates are revoked, and its name becomes free."""
    from haulier.v1 import fleet_pb2 as fl

    request = fl.DecommissionAgentRequest(agent=agent, reason=reason, force=force)
    _ask(request, fl.DecommissionAgentResponse, profile, output)
    note(f"{agent} is gone; on its host `haulier-agentd` can be removed")


def _ask(request: Any, kind: Any, profile: str | None, output: OutputFormat) -> None:
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.agents.tables import agent_table
    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        answer = operator.call(request, kind, repeatable=False)
    if output is OutputFormat.json:
        show_message(answer)
    else:
        show(agent_table(op.ListAgentsResponse(agents=[answer.agent]), stdout_look(output)), output)


def noun() -> typer.Typer:
    """`haulier fleet`."""
    app = manifests.noun("Fleet")
    app.command("status")(status)
    app.command("hosts")(hosts)
    app.command("health")(health.health)
    return app


def add_to(agents: typer.Typer) -> typer.Typer:
    """`haulier agent` with what is done to single hosts."""
    agents.command("cordon")(cordon)
    agents.command("uncordon")(uncordon)
    agents.command("label")(label)
    agents.command("decommission")(decommission)
    return agents
