"""The options that every command takes."""

from typing import Annotated

import typer

from controlplane.cli.screen.terminal import OutputFormat

ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="FILE",
        help="Which control plane: its operator profile. Else HAULIER_PROFILE, else ~/.config/haulier/profile.json.",
        show_default=False,
    ),
]
OutputOption = Annotated[
    OutputFormat, typer.Option("--output", "-o", help="table, wide (every column) or json.", show_default=False)
]
SelectorOption = Annotated[
    list[str] | None,
    typer.Option("--selector", "-l", metavar="KEY=VALUE", help="A label; may be given again.", show_default=False),
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")]
TimeoutOption = Annotated[
    float,
    typer.Option("--timeout", metavar="SECONDS", min=0.1, help="How long to wait for an answer.", show_default=True),
]
