"""Which type every text of a column has exactly, learnt a batch at a time in constant memory."""

from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from agentd.datastores.forms.text_cells import Unfit, from_text
from agentd.proof.types import DECIMAL_PRECISION_MAX, Column, ColumnType

T = ColumnType

NULL_TEXTS = ("", "NA", "NULL", "null", "\\N", "None", "nan", "NaN", "N/A", "-")
_SAMPLE_ROWS = 100_000

# One spelling per value: no leading zeros, no plus sign, no minus zero, so that nothing is lost by reading it as a
# number.
_WHOLE = r"^(0|-?[1-9][0-9]{0,18})$"
_DECIMAL = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"
_MINUS_ZERO = r"^-0(\.0*)?$"
_FLOAT = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$|^-?inf$|^nan$|^NaN$"
_DIGITS_MAX = 15


class Guess:
    """What the texts of one column seen so far may be."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nulls = 0
        self.values = 0
        self.is_utf8 = True
        self._whole_digits = 1
        self._scale = 0
        self._possible = [T.BOOL, T.INT64, T.DECIMAL, T.FLOAT64, T.DATE, T.TIMESTAMP, T.TIMESTAMPTZ, T.BYTES]

    def see(self, texts: Any) -> None:
        """Take in a batch, as a binary or string array."""
        self.nulls += texts.null_count
        self.values += len(texts) - texts.null_count
        try:
            found = texts.cast(pa.string()).drop_null()
        except pa.ArrowInvalid:
            self._possible, self.is_utf8 = [], False
            return
        self._possible = [kind for kind in self._possible if self._fits(kind, found)]

    def _fits(self, kind: ColumnType, texts: pa.Array) -> bool:
        if kind is T.BOOL:
            return _all(pc.match_substring_regex(texts, "^(true|false|True|False|TRUE|FALSE)$"))
        if kind is T.INT64:
            return _all(pc.match_substring_regex(texts, _WHOLE)) and _parses(texts, Column(self.name, kind))
        if kind is T.DECIMAL:
            return self._is_decimal(texts)
        if kind is T.FLOAT64:
            digits = pc.utf8_length(pc.replace_substring_regex(texts, r"[eE].*$|[^0-9]", ""))
            return _all(pc.match_substring_regex(texts, _FLOAT)) and _all(pc.less_equal(digits, _DIGITS_MAX))
        if kind is T.BYTES:
            return _all(pc.match_substring_regex(texts, r"^\\x([0-9a-f][0-9a-f])*$"))
        if kind is T.DATE:
            return _all(pc.match_substring_regex(texts, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")) and _parses(
                texts, Column(self.name, kind)
            )
        return _all(pc.match_substring(texts, ":")) and _parses(texts, Column(self.name, kind))

    def _is_decimal(self, texts: pa.Array) -> bool:
        if not _all(pc.match_substring_regex(texts, _DECIMAL)) or not _all(
            pc.invert(pc.match_substring_regex(texts, _MINUS_ZERO))
        ):
            return False
        whole = pc.utf8_length(pc.replace_substring_regex(texts, r"^-|\..*$", ""))
        after = pc.utf8_length(pc.replace_substring_regex(texts, r"^[^.]*\.?", ""))
        self._whole_digits = max(self._whole_digits, pc.max(whole).as_py() or 0)
        self._scale = max(self._scale, pc.max(after).as_py() or 0)
        return self._whole_digits + self._scale <= DECIMAL_PRECISION_MAX

    @property
    def type(self) -> ColumnType:
        """The narrowest type that every text has; text where there is none, or nothing was seen."""
        return self._possible[0] if self._possible and self.values else T.TEXT

    def column(self, rows: int) -> Column:
        """The column to propose; required where rows were seen and none was NULL."""
        required = rows > 0 and self.nulls == 0
        if self.type is T.DECIMAL:
            # Room to grow: data seen today is not the widest that will come.
            precision = min(DECIMAL_PRECISION_MAX, max(18, self._whole_digits + self._scale))
            return Column(self.name, T.DECIMAL, precision, self._scale, required)
        return Column(self.name, self.type, required=required)


def _all(mask: pa.Array) -> bool:
    return pc.all(mask, min_count=0).as_py() is not False


def _parses(texts: pa.Array, column: Column) -> bool:
    try:
        from_text(texts, column)
    except Unfit:
        return False
    return True


def null_text_of(texts: Callable[[str], Iterable[dict[str, Any]]]) -> str:
    """The NULL text that leaves the fewest columns as text, judged by the first rows; the plain empty field wins a
    tie."""
    best, best_count = "", -1
    for null_text in NULL_TEXTS:
        guesses: dict[str, Guess] = {}
        rows = 0
        for batch in texts(null_text):
            for name, array in batch.items():
                guesses.setdefault(name, Guess(name)).see(array)
            rows += len(next(iter(batch.values()), []))
            if rows >= _SAMPLE_ROWS:
                break
        typed = sum(1 for g in guesses.values() if g.type is not T.TEXT)
        if typed > best_count:
            best, best_count = null_text, typed
    return best
