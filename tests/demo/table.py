"""The demo's closing table, computed from what the control plane says of each migration."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from controlplane.cli.screen.wording import size


def render(migrations: Iterable[Mapping[str, Any]]) -> str:
    """Return the table as text: rows, bytes, time, digest and verdict of each migration."""
    table = Table(box=None, pad_edge=False)
    for heading, justify in (
        ("MIGRATION", "left"),
        ("FROM", "left"),
        ("TO", "left"),
        ("ROWS", "right"),
        ("STAGED", "right"),
        ("TIME", "right"),
        ("DIGEST", "left"),
        ("VERDICT", "left"),
    ):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for m in migrations:
        proven = m["state"] == "succeeded" and m.get("verified_digest")
        table.add_row(
            m["name"],
            m["source"],
            m["destination"],
            f"{int(m.get('verified_rows', 0)):,}",
            size(int(m.get("staged_bytes", 0))),
            f"{float(m.get('elapsed_s', 0)):.1f} s",
            str(m.get("verified_digest", ""))[:16],
            "✓ verified" if proven else f"✗ {m['state']}: {m.get('reason', '')}",
        )
    console = Console(width=120, highlight=False, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"
