"""The pieces that every renderer uses: cells for names and states, a plain table, findings. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rich.table import Column, Table
from rich.text import Text

from controlplane.cli.screen import states, wording
from controlplane.cli.screen.terminal import Look

QUIET = "bright_black"


def name(text: str) -> Text:
    """Foreign text as a cell: one line, controls made visible, never read as markup."""
    return Text(wording.clean(text), overflow="ellipsis", no_wrap=True)


def quiet(text: str) -> Text:
    """Foreign text that matters less."""
    return Text(wording.clean(text), style=QUIET, overflow="ellipsis", no_wrap=True)


def prose(text: str, style: str = "") -> Text:
    """Foreign text that may take several lines."""
    return Text(wording.clean_lines(text), style=style, overflow="fold")


def state(word: str) -> Text:
    """A state with its symbol and colour."""
    looks = states.looks(wording.clean(word))
    return Text(f"{looks.symbol} {looks.word}", style=looks.style, no_wrap=True, overflow="ellipsis")


def digest(hexadecimal: str, look: Look) -> Text:
    """A digest: whole where there is room, else its first 12 digits."""
    text = wording.clean(hexadecimal)
    return quiet(text if look.fits(200) or len(text) <= 12 else text[:12])


def column(
    header: str,
    *,
    justify: Literal["left", "right"] = "left",
    width: int | None = None,
    flex: bool = False,
    fold: bool = False,
) -> Column:
    """A column that keeps its width where the terminal is narrow. `flex`: this one gives way first, its cells are cut;
    `fold`: it gives way and its cells take several lines."""
    return Column(
        header.upper(),
        justify=justify,
        width=width,
        no_wrap=not (flex or fold),
        overflow="fold" if fold else "ellipsis",
    )


def table(columns: Sequence[Column]) -> Table:
    """A table without lines: it can be read, copied, and cut with awk."""
    return Table(*columns, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def nothing(text: str) -> Text:
    """What to print instead of an empty table."""
    return Text(text, style=QUIET)
