"""Numbers, durations and foreign text in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.cli.screen import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (99_949, "99.9 kB"),
        (99_960, "100 kB"),
        (999_400, "999 kB"),
        (999_600, "1.0 MB"),
        (1_234_567_890, "1.2 GB"),
        (5 * 10**18, "5.0 EB"),
    ],
)
def test_sizes(value: float, text: str) -> None:
    assert wording.size(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0.0s"),
        (0.44, "0.4s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m"),
        (192, "3m12s"),
        (900, "15m"),
        (3599.7, "1h"),
        (7500, "2h05m"),
        (86399.9, "1d"),
        (3 * 86400 + 4 * 3600, "3d04h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (950, "950"), (1234, "1.2k"), (9960, "10k"), (120_400, "120k"), (34_500_000, "34M"), (2.5e9, "2.5G")],
)
def test_short_counts(number: float, text: str) -> None:
    assert wording.short_count(number) == text


@given(st.floats(0, 1e15, allow_nan=False))
def test_short_counts_stay_short(number: float) -> None:
    assert len(wording.short_count(number)) <= 5


@pytest.mark.parametrize(("fraction", "text"), [(0, "0%"), (0.429, "42%"), (0.9999, "99%"), (1, "100%"), (1.5, "100%")])
def test_only_the_whole_is_a_hundred_percent(fraction: float, text: str) -> None:
    assert wording.percent(fraction) == text


def test_plurals() -> None:
    assert wording.plural(1, "row") == "1 row"
    assert wording.plural(336_776, "row") == "336,776 rows"


@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\rb\nc\td", "a\\x0db\\x0ac\\x09d"),
        ("\x9b31m", "\\x9b31m"),
        ("pay\u202eslip", "pay\\u202eslip"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("line\u2028end", "line\\u2028end"),
        ("Grüße 数据 ✓", "Grüße 数据 ✓"),
    ],
)
def test_hostile_text_becomes_visible(hostile: str, harmless: str) -> None:
    assert wording.clean(hostile) == harmless


def test_text_with_lines_keeps_its_lines_only() -> None:
    assert wording.clean_lines("a\tb\nc\x1b\r\x00\x7f") == "a\tb\nc\\x1b\\x0d\\x00\\x7f"


@given(st.text())
def test_cleaned_text_prints_as_one_line_without_controls(text: str) -> None:
    cleaned = wording.clean(text)
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in cleaned)
    assert len(cleaned.splitlines()) <= 1
