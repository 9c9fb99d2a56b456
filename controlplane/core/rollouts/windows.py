"""Maintenance windows: whether an hour of the week on somebody's own clock is one of theirs."""

from collections.abc import Sequence
from typing import NamedTuple

DAY_S = 86_400.0
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FIRST_WEEKDAY = 3  # 1970-01-01 was a Thursday


class Window(NamedTuple):
    """A window of every week. Minutes count from midnight; one that ends before it begins ends on the next day."""

    days: tuple[str, ...]
    from_minute: int
    to_minute: int


def is_open(windows: Sequence[Window], now: float, utc_offset_s: float) -> bool:
    """Tell whether some window is open at ``now`` where clocks are ``utc_offset_s`` ahead of UTC; none means always.

    >>> is_open([Window(("thu",), 60, 120)], now=0.0, utc_offset_s=3600.0)
    True
    """
    if not windows:
        return True
    day, second = divmod(now + utc_offset_s, DAY_S)
    today = DAYS[int(day + _FIRST_WEEKDAY) % 7]
    yesterday = DAYS[int(day + _FIRST_WEEKDAY - 1) % 7]
    minute = second / 60.0
    return any(_covers(window, today, yesterday, minute) for window in windows)


def _covers(window: Window, today: str, yesterday: str, minute: float) -> bool:
    if window.from_minute < window.to_minute:
        return today in window.days and window.from_minute <= minute < window.to_minute
    late, early = minute >= window.from_minute, minute < window.to_minute
    return (today in window.days and late) or (yesterday in window.days and early)
