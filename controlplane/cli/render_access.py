"""What the commands about access print. Pure."""

from __future__ import annotations

from haulier.v1 import access_pb2 as ac
from rich.console import RenderableType
from rich.text import Text

from controlplane.cli import render_pieces as pieces
from controlplane.cli import wording
from controlplane.cli.terminal import Look


def authority_page(authority: ac.AuthorityView, look: Look) -> RenderableType:
    """The authority, and where its change stands."""
    table = pieces.table([pieces.column(""), pieces.column("", fold=True)])
    table.show_header = False
    table.add_row(Text("authority"), pieces.name(authority.fingerprint))
    table.add_row(Text("ends in"), Text(wording.duration(authority.ends_in_s)))
    if authority.next_fingerprint:
        table.add_row(Text("next"), pieces.name(authority.next_fingerprint))
        waiting = ", ".join(authority.waiting_agents)
        told = pieces.prose(f"still needed by {waiting}", "yellow") if waiting else pieces.prose("needed by nobody")
        table.add_row(Text("the old one"), told)
    return table
