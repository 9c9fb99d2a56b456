"""What the release commands print. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from controlplane.cli import render_pieces as pieces
from controlplane.cli.terminal import Look


def key_table(rows: Sequence[Mapping[str, Any]], look: Look) -> RenderableType:
    """Keys that the newest root accepts."""
    columns = [
        pieces.column("role"),
        pieces.column("key"),
        pieces.column("needs", justify="right"),
        pieces.column("signed"),
        pieces.column("version", justify="right"),
        pieces.column("counts until"),
    ]
    table = pieces.table(columns)
    for row in rows:
        table.add_row(
            row["role"],
            pieces.digest(row["key_id"], look),
            Text(str(row["threshold"])),
            Text("✓ signed" if row["signed"] else ""),
            Text(str(row["version"]) if row["version"] else ""),
            pieces.quiet(row["expires"]),
        )
    return table
