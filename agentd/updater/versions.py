"""Versions of releases and their order: MAJOR.MINOR.PATCH, with aN, bN or rcN for what comes before it."""

import re

_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:(a|b|rc)(\d{1,6}))?", re.ASCII)
_FINAL = "z"

Version = tuple[int, int, int, str, int]


def parse(version: str) -> Version:
    """`version` as something that orders: 0.2.0a1 < 0.2.0rc1 < 0.2.0 < 0.10.0. Raises ValueError."""
    found = _VERSION.fullmatch(version)
    if found is None:
        raise ValueError(f"{version[:40]!r} is not a version: write MAJOR.MINOR.PATCH, such as 0.2.0 or 0.2.0rc1")
    major, minor, patch, stage, number = found.groups()
    return int(major), int(minor), int(patch), stage or _FINAL, int(number or 0)
