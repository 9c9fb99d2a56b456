"""Makes a backup of the store each period, in a directory, and removes the oldest ones."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from controlplane import durable


class BackupKeeper:
    """See the module. Ages are those of the files, by the wall clock, so that a restart makes no backup of its own."""

    def __init__(
        self,
        directory: Path | None,
        every_s: float,
        kept: int,
        copy: Callable[[Path], object],
        wall_clock: Callable[[], float],
    ) -> None:
        """``copy`` copies the store to a new file, in a thread; ``kept`` is how many stay. No directory: no backups."""
        self._directory = directory
        self._every_s = every_s
        self._kept = kept
        self._copy = copy
        self._wall_clock = wall_clock

    async def run(self) -> None:
        """Make one pass. Raises ``StoreFailed`` or ``OSError``."""
        if self._directory is not None:
            await asyncio.to_thread(self._keep, self._directory)

    def _keep(self, directory: Path) -> None:
        """Make a backup if the newest is older than the period."""
        durable.make_directory(directory)
        made = sorted(directory.glob("store-*.db"))
        now = self._wall_clock()
        if made and now - made[-1].stat().st_mtime < self._every_s:
            return
        self._copy(directory / time.strftime("store-%Y%m%dT%H%M%SZ.db", time.gmtime(now)))
        for old in sorted(directory.glob("store-*.db"))[: -self._kept]:
            old.unlink()
