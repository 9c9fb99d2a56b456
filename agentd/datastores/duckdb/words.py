"""What DuckDB says of an error, without any value of a row: what it quotes about values is shown by its shape."""

import re

import duckdb

from agentd.datastores.forms.text_cells import shape

_CHARACTERS_MAX = 300
# Errors about a value. What a SELECT says itself (`error(…)`) comes as InvalidInputException.
_ABOUT_VALUES = (duckdb.DataError, duckdb.IntegrityError)
_SAID_BY_ANYBODY = (duckdb.InvalidInputException,)
_QUOTED = re.compile(r"""(['"])(?:.*\1|.*)""", re.DOTALL)
# A number by itself, and not that of a type such as INT64.
_NUMBER = re.compile(r"(?<!\w)\d+")


def of_duckdb(err: Exception) -> str:
    """The first line of what DuckDB says."""
    if isinstance(err, _SAID_BY_ANYBODY):
        return "invalid input (what it is could quote a value, so it is left out)"
    text = str(err).partition("\n\nLINE ")[0]
    if isinstance(err, _ABOUT_VALUES):
        # Quotes first: a quoted value may go on over many lines.
        text = _QUOTED.sub(_shaped, text)
    said = next(iter(text.splitlines()), type(err).__name__)[:_CHARACTERS_MAX]
    return _NUMBER.sub(lambda found: "9" * len(found[0]), said) if isinstance(err, _ABOUT_VALUES) else said


def _shaped(found: re.Match[str]) -> str:
    return shape(found[0].strip("'\""))
