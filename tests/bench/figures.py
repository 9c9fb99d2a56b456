"""Figures for people and for machines: percentiles, tables, ``build/reports/NAME.json``."""

import json
import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

REPORTS = Path(__file__).parents[2] / "build" / "reports"
_console = Console(width=118, highlight=False)


def percentile(values: Sequence[float], fraction: float) -> float:
    """The smallest value that at least ``fraction`` of all do not exceed.

    >>> percentile([4.0, 1.0, 3.0, 2.0], 0.5), percentile([4.0, 1.0, 3.0, 2.0], 0.99)
    (2.0, 4.0)
    """
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(fraction * 1000) // 1000) - 1)]


def median(values: Sequence[float]) -> float:
    """The median."""
    return statistics.median(values)


def load_average() -> str:
    """How busy the machine is, to be read beside a figure."""
    return f"{os.getloadavg()[0]:.1f}"


def say(text: str) -> None:
    """Tell a person what is being done."""
    _console.print(f"[dim]·[/dim] {text}")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; the first column names things, the others are figures."""
    shown = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        shown.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        shown.add_row(*(cell if isinstance(cell, str) else f"{cell:g}" for cell in row))
    _console.print(shown)


def verdict(figure: float, bar: float, *, at_least: bool) -> str:
    """Say whether a figure keeps its bar.

    >>> verdict(3100.0, 3000.0, at_least=True)
    'kept (at least 3000)'
    """
    kept = figure >= bar if at_least else figure <= bar
    return f"{'kept' if kept else 'MISSED'} (at {'least' if at_least else 'most'} {bar:g})"


def write_report(name: str, report: Mapping[str, Any]) -> Path:
    """Write ``build/reports/NAME.json``; return its path."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    path = REPORTS / f"{name}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    say(f"wrote {path.relative_to(REPORTS.parents[1])}")
    return path
