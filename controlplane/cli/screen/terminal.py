"""Where output goes and how it looks there: pure rendering to text, and the one place that writes it."""

from __future__ import annotations

import io
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from controlplane.cli.screen import wording
from controlplane.cli.screen.problems import Problem

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from rich.console import Console, RenderableType

# Wide enough that nothing is cut or wrapped where no person is looking.
_PIPE_WIDTH = 10_000
# Width of "error: " and its like.
_MARGIN = 7


class OutputFormat(StrEnum):
    """What `-o` takes."""

    table = "table"
    wide = "wide"
    json = "json"


class ReaderLeftError(Exception):
    """Nobody reads standard output any more."""


@dataclass(frozen=True)
class Look:
    """How output appears at its destination."""

    terminal: bool
    """A person looks at it: lines are cut to the width, and may be painted over."""
    colour: bool
    """Colours are wanted."""
    width: int
    """Columns."""
    wide: bool = False
    """Every column is wanted, also where it does not fit."""

    def fits(self, columns: int) -> bool:
        """Whether something that needs `columns` columns should be shown."""
        return self.wide or not self.terminal or self.width >= columns


class Stream(Protocol):
    """The part of a stream that decides how output looks there."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""


def look_of(stream: Stream, environment: Mapping[str, str], *, wide: bool = False) -> Look:
    """The look of a stream: NO_COLOR and TERM=dumb turn colours off, COLUMNS overrides the width."""
    terminal = stream.isatty()
    if not terminal:
        return Look(terminal=False, colour=False, width=_PIPE_WIDTH, wide=wide)
    dumb = environment.get("TERM", "") == "dumb"
    # Who asks for every column wants to read them: long lines are broken by the terminal, and no cell is cut.
    width = _PIPE_WIDTH if wide else max(shutil.get_terminal_size().columns, 40)
    return Look(terminal=not dumb, colour=not (dumb or environment.get("NO_COLOR")), width=width, wide=wide)


def console(stream: TextIO, look: Look) -> Console:
    """A console that prints what it is given: no markup, no emoji codes, no highlighting of foreign text."""
    from rich.console import Console

    return Console(
        file=stream,
        force_terminal=look.terminal,
        color_system="standard" if look.colour else None,
        no_color=not look.colour,
        width=look.width,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )


def draw(renderable: RenderableType, look: Look) -> str:
    """`renderable` as text, each line without blanks at its end. Pure."""
    if not look.terminal:
        from controlplane.cli.screen.plain_text import lines_of

        return "".join(line + "\n" for line in lines_of(renderable))
    from rich.console import Group

    buffer = io.StringIO()
    quiet = look if look.colour else Look(terminal=False, colour=False, width=look.width, wide=look.wide)
    # A bare text would be merged with its neighbours and forget that its lines must not wrap.
    console(buffer, quiet).print(Group(renderable))
    return "".join(line.rstrip() + "\n" for line in buffer.getvalue().splitlines())


def stdout_look(output: OutputFormat = OutputFormat.table) -> Look:
    """The look of standard output."""
    return look_of(sys.stdout, os.environ, wide=output is OutputFormat.wide)


def show(renderable: RenderableType, output: OutputFormat = OutputFormat.table) -> None:
    """Prints a renderable to standard output."""
    write(draw(renderable, stdout_look(output)))


def write(text: str) -> None:
    """Writes text to standard output as it is."""
    with _reader_may_leave():
        sys.stdout.write(text)
        sys.stdout.flush()


def write_bytes(data: bytes) -> None:
    """Writes bytes to standard output as they are."""
    with _reader_may_leave():
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """Ends the program quietly when nobody reads on (`haulier events | head`): that is not an error."""
    try:
        yield
    except BrokenPipeError:
        # The interpreter flushes once more at its end, and would complain then.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ReaderLeftError from None


def show_json(value: Any, *, line: bool = False) -> None:
    """Prints a value as JSON: indented, or on one line for streams."""
    from controlplane.cli.screen.as_json import dump

    write(dump(value, indent=None if line else 2) + "\n")


def show_message(message: Message, *, line: bool = False) -> None:
    """Prints a contract message as JSON."""
    from controlplane.cli.screen.as_json import as_dict

    show_json(as_dict(message), line=line)


def note(text: str) -> None:
    """Says something beside the answer, on standard error."""
    sys.stderr.write(wording.clean_lines(text) + "\n")
    sys.stderr.flush()


def complain(problems: Iterable[Problem]) -> None:
    """Prints problems on standard error: what, where, how to mend it."""
    look = look_of(sys.stderr, os.environ)
    for problem in problems:
        sys.stderr.write(problem_text(problem, look))
    sys.stderr.flush()


def problem_text(problem: Problem, look: Look) -> str:
    """A problem as up to three paragraphs. Pure. Plain escapes, because an error must not wait for a library."""
    red, dim, off = ("\x1b[1;31m", "\x1b[2m", "\x1b[0m") if look.colour else ("", "", "")
    text = f"{red}error:{off} {_wrapped(wording.clean_lines(problem.what), look)}\n"
    if problem.where:
        text += f"{dim}   at:{off} {wording.clean(problem.where)}\n"
    if problem.hint:
        text += f"{dim} hint:{off} {_wrapped(wording.clean_lines(problem.hint), look)}\n"
    return text


def _wrapped(text: str, look: Look) -> str:
    """Lines broken between words where a person reads them; a path is never broken, so that it can be copied."""
    if not look.terminal:
        return text
    return textwrap.fill(
        text,
        look.width,
        initial_indent=" " * _MARGIN,
        subsequent_indent=" " * _MARGIN,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    ).lstrip(" ")
