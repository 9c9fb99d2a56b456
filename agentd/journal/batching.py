"""Puts the journal on its own thread and writes whatever waits in one transaction."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from agentd.disk.free_space import free_words
from agentd.journal.journal import Contents, Entry, Journal, JournalBroken

T = TypeVar("T")
log = logging.getLogger(__name__)

# What every SQLite says when the file system has no room.
_DISK_FULL = "disk is full"
_FULL_PAUSE_S = 1.0


class JournalFailed(Exception):
    """A write did not become durable. Nothing may be assumed about it, so the daemon must end and start
    again."""


_Waiting = tuple[Entry, asyncio.Future[None] | None]


class JournalWriter:
    """The journal for an asyncio loop. Every method is called on that loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._journal: Journal | None = None
        self._path = Path()
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None
        self._failed: JournalFailed | None = None
        self._began_at: float | None = None

    def writing_for_s(self) -> float:
        """How long the transaction under way has taken; 0 when there is none."""
        return 0.0 if self._began_at is None else asyncio.get_running_loop().time() - self._began_at

    async def open(self, path: Path) -> Contents:
        """Open the journal and begin an incarnation; raises what `Journal.open` raises."""

        def opened() -> tuple[Journal, Contents]:
            journal = Journal.open(path)
            try:
                return journal, journal.begin_incarnation()
            except JournalBroken:
                journal.close()
                raise
            except Exception as error:
                # Which class it is depends on the SQLite library that sqlite-utils picked.
                journal.close()
                raise JournalFailed(f"{path} cannot be written: {error}") from error

        self._path = path
        self._journal, contents = await self._on_thread(opened)
        return contents

    async def write(self, entry: Entry) -> None:
        """Return when `entry` is durable; raises JournalFailed when it never will be.

        Entries become durable in the order of the calls."""
        if self._failed is not None:
            raise self._failed
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, done))
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_waiting())
        await done

    def write_later(self, entry: Entry) -> None:
        """Write `entry` with whatever is written next: for what may be lost without harm, such as
        forgetting."""
        self._waiting.append((entry, None))

    async def _write_waiting(self) -> None:
        assert self._journal is not None
        journal = self._journal
        while self._waiting:
            batch, self._waiting = self._waiting, []
            entries = [entry for entry, _ in batch]
            self._began_at = asyncio.get_running_loop().time()
            try:
                await self._on_thread(partial(journal.write, entries))
            except Exception as error:  # noqa: BLE001 - which class is up to the SQLite library
                if _DISK_FULL in str(error):
                    # The transaction was taken back as a whole, so it may be tried again. Nothing starts
                    # meanwhile,
                    # while heartbeats and running steps go on.
                    log.error(
                        "%s cannot be written (%s): %s; free some space", self._path, error, free_words(self._path)
                    )
                    self._waiting = batch + self._waiting
                    await asyncio.sleep(_FULL_PAUSE_S)
                    continue
                self._fail(batch, error)
                break
            finally:
                self._began_at = None
            for _, done in batch:
                if done is not None and not done.done():
                    done.set_result(None)
        self._writing = None

    def _fail(self, batch: list[_Waiting], error: Exception) -> None:
        # A failed fsync is never tried again: the kernel may have dropped the page. The next start reads the
        # file as it is.
        self._failed = JournalFailed(f"the journal cannot be written: {error}")
        for _, done in [*batch, *self._waiting]:
            if done is not None and not done.done():
                done.set_exception(self._failed)
        self._waiting = []

    async def close(self) -> None:
        """Write what waits, then close."""
        if self._writing is not None:
            await self._writing
        elif self._waiting and self._failed is None:
            await self._write_waiting()
        if self._journal is not None:
            await self._on_thread(self._journal.close)
            self._journal = None
        self._thread.shutdown(wait=True)

    async def _on_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
