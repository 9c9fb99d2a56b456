"""`haulier authority status|rotate|retire` and `haulier profile refresh`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from controlplane.cli.asking.options import OutputOption, ProfileOption, ReasonOption
from controlplane.cli.screen.terminal import OutputFormat, note, show, show_message, stdout_look

if TYPE_CHECKING:
    from haulier.v1 import access_pb2 as ac

    from controlplane.cli.asking.connection import Operator


def status(profile: ProfileOption = None, output: OutputOption = OutputFormat.table) -> None:
    """Show the certificate authority, and how far its replacement is."""
    from haulier.v1 import access_pb2 as ac

    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        answer = operator.call(ac.GetAuthorityRequest(), ac.GetAuthorityResponse)
    _show(answer.authority, output)


def rotate(reason: ReasonOption, profile: ProfileOption = None, output: OutputOption = OutputFormat.table) -> None:
    """Start replacing the authority: a new one signs certificates, both are trusted, agents renew."""
    from haulier.v1 import access_pb2 as ac

    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        answer = operator.call(ac.RotateAuthorityRequest(reason=reason), ac.RotateAuthorityResponse, repeatable=False)
        _refresh(operator, answer.authority)
    _show(answer.authority, output)
    note(
        "every operator gives `haulier profile refresh` now; then end it with `haulier authority retire --reason TEXT`"
    )


def retire(reason: ReasonOption, profile: ProfileOption = None, output: OutputOption = OutputFormat.table) -> None:
    """Finish replacing the authority: the old one is removed. Refused while an agent still needs it."""
    from haulier.v1 import access_pb2 as ac

    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        answer = operator.call(ac.RetireAuthorityRequest(reason=reason), ac.RetireAuthorityResponse, repeatable=False)
        _refresh(operator, answer.authority)
    _show(answer.authority, output)


def refresh_profile(profile: ProfileOption = None) -> None:
    """Update which authorities this profile trusts, as told by the control plane that it trusts now."""
    from haulier.v1 import access_pb2 as ac

    from controlplane.cli.asking.connection import connect

    with connect(profile) as operator:
        answer = operator.call(ac.GetAuthorityRequest(), ac.GetAuthorityResponse)
        changed = _refresh(operator, answer.authority)
    note("the profile believes other authorities now" if changed else "the profile is up to date")


def _refresh(operator: Operator, authority: ac.AuthorityView) -> bool:
    from controlplane.cli.asking import profile as profiles

    return profiles.believe(operator.profile, authority.bundle_pem.decode("ascii", "replace"))


def _show(authority: ac.AuthorityView, output: OutputFormat) -> None:
    from controlplane.cli.access.tables import authority_page

    if output is OutputFormat.json:
        show_message(authority)
    else:
        show(authority_page(authority, stdout_look(output)), output)


def authority_noun() -> typer.Typer:
    """`haulier authority`."""
    app = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="The certificate authority, and how to replace it."
    )
    app.command("status")(status)
    app.command("rotate")(rotate)
    app.command("retire")(retire)
    return app


def profile_noun() -> typer.Typer:
    """`haulier profile`."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The profile on this machine.")

    @app.callback()
    def group() -> None:
        """The profile on this machine."""

    app.command("refresh")(refresh_profile)
    return app
