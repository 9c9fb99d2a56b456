"""Numbers, durations and foreign text in words for people. Pure."""

from __future__ import annotations

import re

# Control characters, direction overrides and line separators can repaint a terminal or hide text in it.
_DANGEROUS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
_DANGEROUS_BUT_LAYOUT = re.compile(_DANGEROUS.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))

_BYTE_UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB")
_COUNT_UNITS = ("", "k", "M", "G", "T")


def _visible(match: re.Match[str]) -> str:
    number = ord(match.group())
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"


def clean(text: str) -> str:
    """`text` on one line, with every control or direction character made visible as an escape."""
    return _DANGEROUS.sub(_visible, text)


def clean_lines(text: str) -> str:
    """Like `clean`, but newlines and tabs stay: for output that has lines."""
    return _DANGEROUS_BUT_LAYOUT.sub(_visible, text)


def _scaled(value: float, units: tuple[str, ...]) -> tuple[float, str]:
    index = 0
    # 999.5 would round up to 1000, so it already takes the next unit.
    while value >= 999.5 and index < len(units) - 1:
        value /= 1000
        index += 1
    return value, units[index]


def size(size_bytes: float) -> str:
    """Bytes in decimal units: "0 B", "1.2 GB"."""
    value, unit = _scaled(size_bytes, _BYTE_UNITS)
    return f"{value:.0f} {unit}" if unit == "B" or value >= 99.95 else f"{value:.1f} {unit}"


def count(number: int) -> str:
    """A number with thousands separated: "336,776"."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """ "1 row", "336,776 rows"."""
    return f"{count(number)} {noun}" if number == 1 else f"{count(number)} {noun}s"


def short_count(number: float) -> str:
    """A number in at most five characters: "950", "1.2k", "35M"."""
    value, unit = _scaled(number, _COUNT_UNITS)
    return f"{value:.0f}{unit}" if unit == "" or value >= 9.95 else f"{value:.1f}{unit}"


def rate(per_s: float, noun: str) -> str:
    """ "120k rows/s"."""
    return f"{short_count(per_s)} {noun}/s"


def duration(seconds: float) -> str:
    """Seconds in words: "0.4s", "42s", "3m12s", "15m", "2h05m", "3d04h". Negative counts as 0."""
    seconds = max(seconds, 0.0)
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return _two(whole, 60, "m", 1, "s")
    if whole < 86400:
        return _two(whole, 3600, "h", 60, "m")
    return _two(whole, 86400, "d", 3600, "h")


def _two(whole: int, large: int, large_unit: str, small: int, small_unit: str) -> str:
    rest = whole % large // small
    return f"{whole // large}{large_unit}" + (f"{rest:02d}{small_unit}" if rest else "")


def fence(number: int) -> str:
    """A fence as GENERATION·COUNTER: its high and its low 32 bits, which mean different things to a reader."""
    return f"{number >> 32}·{number & 0xFFFFFFFF}"


def percent(fraction: float) -> str:
    """ "43%"; only the whole is 100%."""
    return "100%" if fraction >= 1 else f"{min(int(fraction * 100), 99)}%"
