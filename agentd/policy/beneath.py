"""Opening a path and then looking where it led, so that no link swapped in between can win.

A check by name followed by an open by name is a race. Here the path is opened first, without reading anything, and the
descriptor itself is asked where it is; whoever goes on uses the descriptor.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


class Outside(Exception):
    """The path leads out of every root; `str` is where to."""


@contextmanager
def opened_beneath(path: Path, roots: Sequence[str]) -> Iterator[int]:
    """An O_PATH descriptor of `path`, every link followed; raises Outside unless it is a root or below one.

    Raises OSError where there is nothing at the path.
    """
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        found = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not is_beneath(found, roots):
            raise Outside(str(found))
        yield descriptor
    finally:
        os.close(descriptor)


def is_beneath(real: Path, roots: Sequence[str]) -> bool:
    """Whether a path without links is one of the roots (whose own links are their owner's) or below one."""
    return any(real.is_relative_to(os.path.realpath(root)) for root in roots)
