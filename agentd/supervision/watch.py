"""Notices changes of the configuration and the policy."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import watchfiles

# Editors write a file in several steps; a burst of changes is one change. The watcher wakes once per look.
_LOOK_MS = 400
_BURST_MS = 1200


async def changes(files: Callable[[], set[Path]]) -> AsyncIterator[None]:
    """Yield after each change of one of `files`.

    Directories are watched rather than files, because a careful editor replaces a file by another one. The
    files
    are asked for again after each change: the new configuration may name another policy."""
    while True:
        watched = {path.resolve() for path in files()}
        directories = {path.parent for path in watched}

        def matters(_: watchfiles.Change, path: str, watched: set[Path] = watched) -> bool:
            return Path(path) in watched

        async for _ in watchfiles.awatch(
            *directories, watch_filter=matters, recursive=False, debounce=_BURST_MS, step=_LOOK_MS
        ):
            yield
            if {path.resolve() for path in files()} != watched:
                break
        else:
            return
