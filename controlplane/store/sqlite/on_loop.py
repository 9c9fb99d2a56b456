"""Brief calls run on the event loop itself; only their commit waits for the disk, in a thread.

SQLite lets go of the interpreter at every row it writes. A writer thread beside a busy loop then hands it to and fro
some fifty times for one message of results; run in its place, the same work gave a quarter more steps a second.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from controlplane.store.sqlite.batcher import Answer, Batcher, Call

# At some half a millisecond a call, the loop is held no longer than by other work of its own.
CALLS_MAX = 64

Waiting = tuple[Call, "asyncio.Future[Any]"]


class OnLoop:
    """Brief calls of one event loop, in batches of their own that take turns with those of the writer thread."""

    def __init__(self, batcher: Batcher, writing: threading.Lock) -> None:
        """``writing`` is held by whoever uses the batcher, from the first statement to the end of the commit."""
        self._batcher = batcher
        self._writing = writing
        self._commits = ThreadPoolExecutor(1, thread_name_prefix="store-commit")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: list[Waiting] = []
        self._looking = False
        self._committing = False
        self.gives_way = False  # set while the writer thread waits for its turn

    def serves(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Tell whether calls of ``loop`` may be added; they may not while another living loop's are."""
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed():
                return False
            # Whatever waited on a loop that was closed has nobody left to answer.
            self._loop, self._waiting, self._looking, self._committing = loop, [], False, False
        return True

    def add(self, call: Call, future: "asyncio.Future[Any]") -> None:
        """Run ``call`` in the next batch and answer ``future``; only on the loop that is served."""
        self._waiting.append((call, future))
        self._look_soon()

    def turn_is_free(self) -> None:
        """Look again: the writer thread has ended its turn. Called by that thread."""
        if self._waiting and self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._look_soon)

    def close(self) -> None:
        """Finish what was asked. The writer thread has ended before."""
        with self._writing:
            batch, self._waiting = self._waiting, []
            answers = self._batcher.run([call for call, _ in batch]) if batch else []
        if self._loop is not None:
            deliver_on(self._loop, zip((future for _, future in batch), answers, strict=True))
        self._commits.shutdown()

    def _look_soon(self) -> None:
        # Everything that arrives in one round of the loop goes into one batch.
        if self._loop is not None and not self._looking and not self._committing:
            self._looking = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._looking = False
        loop = self._loop
        if loop is None or self.gives_way or not self._waiting or not self._writing.acquire(blocking=False):
            return
        try:
            batch, self._waiting = self._waiting[:CALLS_MAX], self._waiting[CALLS_MAX:]
            answers = self._batcher.begin([call for call, _ in batch])
            self._committing = True
            self._commits.submit(self._commit, loop, batch, answers)
        except BaseException:
            # A batch that is begun is handed on or taken back, whatever happens: else nothing is ever written again.
            self._batcher.abandon()
            self._writing.release()
            raise

    def _commit(self, loop: asyncio.AbstractEventLoop, batch: list[Waiting], answers: list[Answer]) -> None:
        try:
            answers = self._batcher.end(answers)
        finally:
            self._writing.release()
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(self._committed, batch, answers)

    def _committed(self, batch: list[Waiting], answers: list[Answer]) -> None:
        self._committing = False
        deliver(zip((future for _, future in batch), answers, strict=True))
        self._look_soon()


def deliver_on(loop: asyncio.AbstractEventLoop, pairs: Iterable[tuple["asyncio.Future[Any]", Answer]]) -> None:
    """Answer futures of a loop from another thread, in one wake-up; a loop that has closed wants no answers."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(deliver, list(pairs))


def deliver(pairs: Iterable[tuple["asyncio.Future[Any]", Answer]]) -> None:
    """Answer futures; a caller that has gone is passed over, what it asked for is durable all the same."""
    for future, answer in pairs:
        if future.done():
            continue
        if answer.error is not None:
            future.set_exception(answer.error)
        else:
            future.set_result(answer.value)
