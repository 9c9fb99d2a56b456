"""`haulier operator create|list|revoke` and `haulier approval list|show|approve|deny`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from controlplane.cli.asking import completing
from controlplane.cli.asking.options import OutputOption, ProfileOption, ReasonOption
from controlplane.cli.screen.terminal import OutputFormat, note, show, show_message, stdout_look, write

_DAY_S = 86_400.0
_DAYS_MAX = 400.0


class OperatorRole(StrEnum):
    """What an operator may do."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"


TokenArgument = Annotated[
    str,
    typer.Argument(
        metavar="TOKEN_ID", help="Id of the token, as `list` shows it.", autocompletion=completing.operator_tokens
    ),
]
ApprovalArgument = Annotated[
    str,
    typer.Argument(metavar="APPROVAL", help="apr_… id, as `list` shows it.", autocompletion=completing.approvals),
]


def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who will hold it: a person or a script.")],
    role: Annotated[OperatorRole, typer.Option("--role", help="What its holder may do.")],
    owner: Annotated[
        list[str] | None,
        typer.Option(
            "--owner",
            metavar="OWNER",
            help="Limit the token to this owner's datasets and their migrations; may be repeated.",
            show_default=False,
        ),
    ] = None,
    days: Annotated[
        float,
        typer.Option("--days", metavar="DAYS", min=0.001, max=_DAYS_MAX, help="How many days the token is valid."),
    ] = 90.0,
    write_to: Annotated[
        Path | None,
        typer.Option("--write", metavar="FILE", help="Write a whole profile instead of showing the token."),
    ] = None,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Make an operator token. It is shown once, on standard output, or written into a profile."""
    from haulier.v1 import access_pb2 as ac

    from controlplane.cli.asking import profile as profiles
    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        request = ac.CreateOperatorTokenRequest(name=name, role=role, owners=owner or [], ttl_s=days * _DAY_S)
        answer = operator.call(request, ac.CreateOperatorTokenResponse, repeatable=False)
    if write_to is not None:
        profiles.save(write_to, address=answer.public_address, ca_pem=answer.ca_pem.decode(), token=answer.token)
        note(f"{write_to} lets {name} in; hand it over whole, readable by nobody else")
    elif output is OutputFormat.json:
        show_message(answer)
    else:
        write(answer.token + "\n")
        note(f"an operator token for {name}; it goes into a profile as `token`. `--write FILE` writes one")


def list_tokens(profile: ProfileOption = None, output: OutputOption = OutputFormat.table) -> None:
    """List operator tokens: whose, over what, until when."""
    from haulier.v1 import access_pb2 as ac

    from controlplane.cli.access.tables import tokens_table
    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        answer = operator.call(ac.ListOperatorTokensRequest(), ac.ListOperatorTokensResponse)
    if output is OutputFormat.json:
        show_message(answer)
    else:
        show(tokens_table(answer.tokens, stdout_look(output)), output)


def revoke(
    token: TokenArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Revoke an operator token at once."""
    from haulier.v1 import access_pb2 as ac

    from controlplane.cli.access.tables import tokens_table
    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        request = ac.RevokeOperatorTokenRequest(token_id=token, reason=reason)
        answer = operator.call(request, ac.RevokeOperatorTokenResponse)
    if output is OutputFormat.json:
        show_message(answer)
    else:
        show(tokens_table([answer.kept], stdout_look(output)), output)


def list_approvals(profile: ProfileOption = None, output: OutputOption = OutputFormat.table) -> None:
    """List calls that wait for a second person, and how others were decided."""
    from haulier.v1 import access_pb2 as ac

    from controlplane.cli.access.tables import approvals_table
    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        answer = operator.call(ac.ListApprovalsRequest(), ac.ListApprovalsResponse)
    if output is OutputFormat.json:
        show_message(answer)
    else:
        show(approvals_table(answer.approvals, stdout_look(output)), output)


def show_approval(
    approval: ApprovalArgument, profile: ProfileOption = None, output: OutputOption = OutputFormat.table
) -> None:
    """Show all that one approval is about: every name, and what it was when it was asked for."""
    from haulier.v1 import access_pb2 as ac

    from controlplane.cli.access.tables import approval_page
    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        answer = operator.call(ac.GetApprovalRequest(approval_id=approval), ac.GetApprovalResponse)
    if output is OutputFormat.json:
        show_message(answer)
    else:
        show(approval_page(answer.approval, stdout_look(output)), output)


def approve(
    approval: ApprovalArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")] = "",
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Agree to a call that somebody else asked for; needs the role approver."""
    _decide(approval, reason, profile, output, agreed=True)


def deny(
    approval: ApprovalArgument,
    reason: ReasonOption,
    profile: ProfileOption = None,
    output: OutputOption = OutputFormat.table,
) -> None:
    """Deny a call that somebody else asked for; needs the role approver."""
    _decide(approval, reason, profile, output, agreed=False)


def _decide(approval: str, reason: str, profile: str | None, output: OutputFormat, *, agreed: bool) -> None:
    from haulier.v1 import access_pb2 as ac

    from controlplane.cli.access.tables import approvals_table
    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        request = ac.DecideApprovalRequest(approval_id=approval, agreed=agreed, reason=reason)
        answer = operator.call(request, ac.DecideApprovalResponse, repeatable=False)
    if output is OutputFormat.json:
        show_message(answer)
        return
    show(approvals_table([answer.approval], stdout_look(output)), output)
    if agreed:
        note(f"{answer.approval.asked_by} gives the same command again; it goes through once")


def operator_noun() -> typer.Typer:
    """`haulier operator`."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Operator tokens: they let people in.")
    app.command("create")(create)
    app.command("list")(list_tokens)
    app.command("revoke")(revoke)
    return app


def approval_noun() -> typer.Typer:
    """`haulier approval`."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Calls that need a second person.")
    app.command("list")(list_approvals)
    app.command("show")(show_approval)
    app.command("approve")(approve)
    app.command("deny")(deny)
    return app
