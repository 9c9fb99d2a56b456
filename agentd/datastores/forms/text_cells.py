"""Values as text and back, exactly, a column at a time.

CSV files, PostgreSQL's COPY and SQLite's text columns all carry values as text. `to_text` writes one spelling per
value; `from_text` accepts the spellings that mean exactly one value of the column's type and names the first row
that does not.
"""

import re

import pyarrow as pa
import pyarrow.compute as pc

from agentd.proof.types import Column, ColumnType, arrow_type

_FIRST_DAY = -719_162  # 0001-01-01
_LAST_DAY = 2_932_896  # 9999-12-31
_DAY_US = 86_400_000_000
_BOOLS = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}

# Arrow's own parsers also accept hexadecimal whole numbers; nobody who writes 0x10 into a table means this.
_WHOLE = r"^[+-]?[0-9]+$"


_SHAPE_MAX = 40

# Words that say why a value does not fit, and nothing about anybody.
_TELLING = {
    "",
    "nan",
    "inf",
    "-inf",
    "infinity",
    "-infinity",
    "null",
    "none",
    "na",
    "n/a",
    "true",
    "false",
    "yes",
    "no",
}


class Unfit(ValueError):
    """A value has no exact place in its column. `index` counts from the start of the array; `why` has no row
    number."""

    def __init__(self, index: int, why: str) -> None:
        super().__init__(why)
        self.index = index
        self.why = why


def shape(value: object) -> str:
    """Say what a value looks like without being it: "a value of the shape 9999.999". Digits are 9, letters a; long ones
    are shortened. Safe to log."""
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return f"a value of {len(value)} bytes that are not UTF-8"
    if not isinstance(value, str):
        return f"a value of the type {type(value).__name__}"
    if not value:
        return "an empty text"
    if value.strip().lower() in _TELLING:
        return f"the text {value!r}"
    masked = re.sub(r"[^\W\d_]", "a", re.sub(r"\d", "9", value[:_SHAPE_MAX]))
    # Quotes only where the ends could not be seen: with them a shape is taken for the value itself.
    seen = masked if re.fullmatch(r"[!-~]+", masked) else repr(masked)
    return f"a value of the shape {seen}" + (f" ({len(value)} characters)" if len(value) > _SHAPE_MAX else "")


def misfit(value: object, column: Column) -> str:
    """Say that a value has no exact place in a column, without showing it."""
    return f"{shape(value)} does not fit {column.spelled()}"


def to_text(array: pa.Array, column: Column) -> pa.Array:
    """Text of each value as a string array; NULL stays NULL. Raises Unfit for a date outside years 1 to 9999."""
    kind = column.type
    if kind is ColumnType.TEXT:
        return array
    if kind is ColumnType.BYTES:
        return pa.array([None if v is None else "\\x" + v.hex() for v in array.to_pylist()], pa.string())
    if kind in (ColumnType.DATE, ColumnType.TIMESTAMP, ColumnType.TIMESTAMPTZ):
        require_years(array, column)
    if kind is ColumnType.TIMESTAMPTZ:
        return pc.binary_join_element_wise(array.cast(pa.timestamp("us")).cast(pa.string()), "+00:00", "")
    text = array.cast(pa.string())
    if kind is ColumnType.DECIMAL and pc.any(pc.match_substring(text, "E")).as_py():
        # Arrow writes an exponent for very small values: exact, but not the one spelling that we promise.
        return pa.array([None if v is None else format(v, "f") for v in array.to_pylist()], pa.string())
    return text


def require_years(array: pa.Array, column: Column) -> None:
    """Raise Unfit for the first date or timestamp outside years 1 to 9999, which text spellings cannot carry."""
    if column.type is ColumnType.DATE:
        raw, low, high = array.cast(pa.int32()), _FIRST_DAY, _LAST_DAY
    else:
        raw, low, high = array.cast(pa.int64()), _FIRST_DAY * _DAY_US, (_LAST_DAY + 1) * _DAY_US - 1
    outside = pc.or_(pc.less(raw, low), pc.greater(raw, high))
    index = pc.index(outside, True).as_py()
    if index >= 0:
        raise Unfit(index, f"a {column.spelled()} outside the years 1 to 9999")


def from_text(array: pa.Array, column: Column) -> pa.Array:
    """Values of the column's type from a string or binary array; NULL stays NULL. Raises Unfit at the first
    misfit."""
    text = _as_utf8(array, column)
    if column.type is ColumnType.TEXT:
        return text
    try:
        found = _parse(text, column)
    except (pa.ArrowInvalid, ValueError):
        found = None
    if found is not None:
        return found
    index = _first_misfit(text, column)
    raise Unfit(index, misfit(text[index].as_py(), column))


def _as_utf8(array: pa.Array, column: Column) -> pa.Array:
    try:
        return array.cast(pa.string())
    except pa.ArrowInvalid as err:
        for index, value in enumerate(array.to_pylist()):
            try:
                _ = value is None or value.decode()
            except UnicodeDecodeError:
                raise Unfit(index, misfit(value, column)) from err
        raise


def _first_misfit(text: pa.Array, column: Column) -> int:
    """Index of the first value that does not parse alone, by halving: log2(n) parses of shrinking slices."""
    start, count = 0, len(text)
    while count > 1:
        half = count // 2
        if _parses(text.slice(start, half), column):
            start, count = start + half, count - half
        else:
            count = half
    return start


def _parses(text: pa.Array, column: Column) -> bool:
    try:
        return _parse(text, column) is not None
    except (pa.ArrowInvalid, ValueError):
        return False


def _parse(text: pa.Array, column: Column) -> pa.Array | None:
    """Parsed values, or None (or an Arrow error) where some value does not fit."""
    kind = column.type
    if kind is ColumnType.BOOL:
        return pa.array([None if v is None else _bool(v) for v in text.to_pylist()], pa.bool_())
    if kind is ColumnType.BYTES:
        return pa.array([None if v is None else _bytes(v) for v in text.to_pylist()], pa.binary())
    if kind is ColumnType.INT64:
        if not _all(pc.match_substring_regex(text, _WHOLE)):
            return None
        return pc.replace_substring_regex(text, r"^\+", "").cast(pa.int64())
    found = text.cast(arrow_type(column))
    if kind is ColumnType.FLOAT64:
        # A number too large for binary64 parses as infinity; only text that says "inf" may become it.
        overflow = pc.and_(pc.is_inf(found), pc.invert(pc.match_substring(text, "n", ignore_case=True)))
        if not _all(pc.invert(overflow)):
            return None
    if kind is ColumnType.DECIMAL and not _all(pc.match_substring_regex(text, r"[0-9]")):
        return None
    return found


def _all(mask: pa.Array) -> bool:
    return pc.all(mask, skip_nulls=True, min_count=0).as_py() is not False


def _bool(text: str) -> bool:
    found = _BOOLS.get(text) if text in _BOOLS else _BOOLS.get(text.lower())
    if found is None:
        raise ValueError
    return found


def _bytes(text: str) -> bytes:
    if not text.startswith("\\x") or re.search(r"\s", text):
        raise ValueError
    return bytes.fromhex(text[2:])
