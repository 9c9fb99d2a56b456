"""Renderables as plain text for pipes and files: one row is one line, nothing is cut, columns are aligned. Pure.

The rich library could draw them too, but needs half a second for a thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_GAP = "  "


def lines_of(renderable: RenderableType) -> Iterator[str]:
    """The lines of a text, a table, or a group of these. Raises TypeError for anything else."""
    if isinstance(renderable, Group):
        for part in renderable.renderables:
            yield from lines_of(part)
    elif isinstance(renderable, Text):
        yield from (line.rstrip() for line in renderable.plain.split("\n"))
    elif isinstance(renderable, Table):
        yield from _rows(renderable)
    else:
        raise TypeError(f"{type(renderable).__name__} has no plain form")


def _rows(table: Table) -> Iterator[str]:
    columns = [[_cell(cell) for cell in column.cells] for column in table.columns]
    if table.show_header:
        for cells, column in zip(columns, table.columns, strict=True):
            cells.insert(0, _cell(column.header))
    padded = []
    for cells, column in zip(columns, table.columns, strict=True):
        width = max((cell_len(cell) for cell in cells), default=0)
        right = column.justify == "right"
        padded.append([_pad(cell, width, right=right) for cell in cells])
    for row in zip(*padded, strict=True):
        yield _GAP.join(row).rstrip()


def _cell(content: RenderableType) -> str:
    if not isinstance(content, (str, Text)):
        raise TypeError(f"{type(content).__name__} has no place in a table")
    return str(content).replace("\n", " ")


def _pad(text: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks
