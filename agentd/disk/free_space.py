"""How much room a file system has left, in words."""

import errno
import os
from pathlib import Path

_UNITS = ("B", "kB", "MB", "GB", "TB")


def is_full(error: OSError) -> bool:
    """Whether a file system had no room left, or the user's quota none."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def free_words(path: Path) -> str:
    """How much is free of the file system that holds `path`, or would hold it."""
    try:
        found = os.statvfs(_existing(path))
    except OSError:
        return "how much is free cannot be found out"
    if found.f_files and not found.f_favail:
        return f"none of {found.f_files:,} inodes is free"
    return f"{size(found.f_bavail * found.f_frsize)} of {size(found.f_blocks * found.f_frsize)} are free"


def size(count: float) -> str:
    """A number of bytes for people.

    >>> size(512), size(18_340_000), size(2e15)
    ('512 B', '18.3 MB', '2000 TB')
    """
    amount, unit = float(count), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}" if unit == 0 or amount >= 100 else f"{amount:.1f} {_UNITS[unit]}"


def _existing(path: Path) -> Path:
    return path if path.exists() or path == path.parent else _existing(path.parent)
