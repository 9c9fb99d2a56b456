"""`haulier agent list|drain|resume|revoke` and `haulier token create`."""

from __future__ import annotations

from typing import Annotated

import typer

from controlplane.cli.agents.black_boxes import black_box
from controlplane.cli.asking import completing
from controlplane.cli.asking.options import OutputOption, ProfileOption, ReasonOption
from controlplane.cli.screen.terminal import OutputFormat, note, show, show_message, stdout_look, write

ServingArgument = Annotated[
    str,
    typer.Argument(metavar="AGENT", help="Name or ag_… id.", autocompletion=completing.agents_that(completing.serves)),
]
DrainingArgument = Annotated[
    str,
    typer.Argument(metavar="AGENT", help="Name or ag_… id.", autocompletion=completing.agents_that(completing.drains)),
]
KnownArgument = Annotated[
    str,
    typer.Argument(
        metavar="AGENT", help="Name or ag_… id.", autocompletion=completing.agents_that(completing.is_known)
    ),
]
TOKEN_TTL_S_MAX = 900.0


def list_agents(profile: ProfileOption = None, output: OutputOption = OutputFormat.table) -> None:
    """List agents: what they hold, when they were heard, how their hosts do."""
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.agents.tables import agent_table
    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        listing = operator.call(op.ListAgentsRequest(), op.ListAgentsResponse)
    if output is OutputFormat.json:
        show_message(listing)
    else:
        show(agent_table(listing, stdout_look(output)), output)


def drain(
    agent: ServingArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Let an agent finish what it holds and give it nothing new."""
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.agents.tables import agent_table
    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        answer = operator.call(op.DrainAgentRequest(agent=agent, reason=reason), op.DrainAgentResponse)
    if output is OutputFormat.json:
        show_message(answer)
    else:
        show(agent_table(op.ListAgentsResponse(agents=[answer.agent]), stdout_look(output)), output)


def resume(agent: DrainingArgument, profile: ProfileOption = None, output: OutputOption = OutputFormat.table) -> None:
    """Let a drained agent take work again."""
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.agents.tables import agent_table
    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        answer = operator.call(op.ResumeAgentRequest(agent=agent), op.ResumeAgentResponse)
    if output is OutputFormat.json:
        show_message(answer)
    else:
        show(agent_table(op.ListAgentsResponse(agents=[answer.agent]), stdout_look(output)), output)


def revoke(
    agent: KnownArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Take an agent's identity away: its sessions end at once, its steps go to others."""
    from haulier.v1 import access_pb2 as ac
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.agents.tables import agent_table
    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        answer = operator.call(ac.RevokeAgentRequest(agent=agent, reason=reason), ac.RevokeAgentResponse)
    if output is OutputFormat.json:
        show_message(answer)
        return
    show(agent_table(op.ListAgentsResponse(agents=[answer.agent]), stdout_look(output)), output)
    name = answer.agent.name
    note(f"to let it back in: `haulier token create --agent {name}`, then `haulier-agentd join` on its host")


def create_token(
    agent: Annotated[
        str | None,
        typer.Option("--agent", metavar="NAME", help="Only an agent of this name may use it.", show_default=False),
    ] = None,
    ttl: Annotated[
        float,
        typer.Option("--ttl", metavar="SECONDS", min=1, max=TOKEN_TTL_S_MAX, help="How many days the token is valid."),
    ] = TOKEN_TTL_S_MAX,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Make a join token for one agent, and show it once, in the command to give on its host.

    In a pipe the token alone goes to standard output. A join token lets a host become an agent; operator tokens, which
    let people in, are made with `haulier operator create`.
    """
    from haulier.v1 import operator_pb2 as op

    from controlplane.cli.asking.connection import connect
    from controlplane.cli.screen import wording

    with connect(profile) as operator:
        request = op.CreateJoinTokenRequest(agent_name=agent or "", ttl_s=ttl)
        answer = operator.call(request, op.CreateJoinTokenResponse, repeatable=False)
    if output is OutputFormat.json:
        show_message(answer)
        return
    named = f" --name {agent}" if agent else ""
    terms = f"one use, {f'for {agent}' if agent else 'for any one agent'}, valid for {wording.duration(answer.ttl_s)}"
    if stdout_look(output).terminal:
        note(f"on the host that shall become an agent, {terms}:")
        write(f"haulier-agentd join{named} {answer.token}\n")
    else:
        write(answer.token + "\n")
        note(f"{terms}; on its host: haulier-agentd join{named} - <FILE, where FILE holds the token")


def agent_noun() -> typer.Typer:
    """`haulier agent`."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="See and steer agents.")
    app.command("list")(list_agents)
    app.command("drain")(drain)
    app.command("resume")(resume)
    app.command("revoke")(revoke)
    app.command("black-box")(black_box)
    return app


def token_noun() -> typer.Typer:
    """`haulier token`."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Join tokens: they let hosts become agents.")

    @app.callback()
    def group() -> None:
        """Join tokens, which let hosts become agents. Operator tokens, for people, are under `haulier operator`."""

    app.command("create")(create_token)
    return app
