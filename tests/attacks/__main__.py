"""See the package."""

import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.attacks.running import every, play
from tests.attacks.scene import Stage
from tests.kit import reports
from tests.kit.verbs import leave


def main() -> int:
    """Play every attack; returns the exit code."""
    with tempfile.TemporaryDirectory(prefix="haulier-attacks-") as home:
        stage = Stage(Path(home) / "stage")
        outcomes = [play(stage, where, each, Path(home) / str(n)) for n, (where, each) in enumerate(every())]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for header in ("KIND", "AT", "ATTACK", "REFUSED AS", ""):
        table.add_column(header, overflow="fold")
    for outcome in outcomes:
        mark = "✓" if outcome.held else "✗"
        table.add_row(outcome.attack.kind, outcome.where, outcome.attack.title, outcome.code or "taken", mark)
    console = Console()
    console.print(table)
    refused = sum(outcome.held for outcome in outcomes)
    path = reports.write(
        "tuf",
        {
            "attacks": len(outcomes),
            "refused": refused,
            "by": [
                {
                    "kind": each.attack.kind,
                    "at": each.where,
                    "attack": each.attack.name,
                    "code": each.code,
                    "unchanged": each.unchanged,
                    "honest_after": each.honest_after,
                }
                for each in outcomes
            ],
        },
    )
    console.print(f"\n{refused} of {len(outcomes)} attacks refused, nothing changed by them; report: {path}")
    return 0 if refused == len(outcomes) else 1


if __name__ == "__main__":
    leave(main)
