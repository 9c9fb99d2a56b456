"""The store on a file: a thread that drives the batcher, and readers on snapshots of their own.

Brief calls need no thread but for their commit: see ``on_loop``.
"""

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from controlplane.store.port import Brief, StoreFailed, Tx
from controlplane.store.sqlite import library
from controlplane.store.sqlite.batcher import Answer, Batcher, Call
from controlplane.store.sqlite.on_loop import OnLoop, deliver_on
from controlplane.store.sqlite.revisions import bring_up, check_known, newest_known
from controlplane.store.sqlite.tx import SqliteTx

T = TypeVar("T")

# A batch is bounded so that the first caller of a flood does not wait for its last.
BATCH_CALLS_MAX = 256
READERS = 2


class SqliteStore:
    """See ``store.port.Store``."""

    def __init__(self, path: Path) -> None:
        """Open or create the file and bring it to the newest revision.

        Raises ``library.UnsafeLibrary``, ``revisions.NewerRevision`` or ``StoreFailed``.
        """
        self.path = path
        try:
            connection = library.connect(str(path), writing=True)
            bring_up(connection)
        except library.Error as error:
            raise StoreFailed(f"cannot open the store {path}: {error}") from None
        self._batcher = Batcher(connection)
        self._writing = threading.Lock()
        self._on_loop = OnLoop(self._batcher, self._writing)
        self._closed = False
        self._calls: queue.SimpleQueue[tuple[Call, asyncio.AbstractEventLoop, asyncio.Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._local = threading.local()
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._writer = threading.Thread(target=self._write_batches, name="store-writer", daemon=True)
        self._writer.start()

    async def write(self, call: Callable[[Tx], T]) -> T:
        """Run ``call`` in the next batch; return its answer once the batch is durable."""
        if self._closed:
            raise StoreFailed("the control plane is stopping; nothing of this request was kept")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        if isinstance(call, Brief) and self._on_loop.serves(loop):
            self._on_loop.add(call, future)
        else:
            self._calls.put((call, loop, future))
        return await future

    async def read(self, call: Callable[[Tx], T]) -> T:
        """Run ``call`` on a snapshot in a reader thread."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, call)

    def newest_at(self) -> float:
        """Return the newest instant in the event log, 0 when it is empty; call it before the first write."""
        newest = self._batcher.connection.execute("SELECT at FROM event ORDER BY position DESC LIMIT 1")
        return next((float(at) for (at,) in newest), 0.0)

    def close(self) -> None:
        """Finish what was asked and close the file."""
        self._closed = True
        self._calls.put(None)
        self._writer.join()
        self._on_loop.close()
        self._readers.shutdown()
        self._batcher.connection.close()

    def _read(self, call: Callable[[Tx], T]) -> T:
        tx = getattr(self._local, "tx", None)
        if tx is None:
            tx = self._local.tx = SqliteTx(library.connect(str(self.path), writing=False))
        tx.connection.execute("BEGIN")
        try:
            return call(tx)
        finally:
            tx.connection.execute("COMMIT")

    def _write_batches(self) -> None:
        while True:
            first = self._calls.get()
            if first is None:
                return
            batch = [first]
            closing = False
            while len(batch) < BATCH_CALLS_MAX:
                try:
                    more = self._calls.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    closing = True
                    break
                batch.append(more)
            answers = self._in_turn([call for call, _, _ in batch])
            deliveries: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Answer]]] = {}
            for (_, loop, future), answer in zip(batch, answers, strict=True):
                deliveries.setdefault(loop, []).append((future, answer))
            for loop, pairs in deliveries.items():
                deliver_on(loop, pairs)
            if closing:
                return

    def _in_turn(self, calls: list[Call]) -> list[Answer]:
        """Run a batch when no other is under way; brief calls give way, so that they cannot keep it waiting."""
        self._on_loop.gives_way = True
        with self._writing:
            self._on_loop.gives_way = False
            answers = self._batcher.run(calls)
        self._on_loop.turn_is_free()
        return answers


def open_snapshot(path: Path, *, older_too: bool = False) -> SqliteTx:
    """Open a reading transaction on a store, for examining it; ``older_too`` opens one that no start has brought up.

    Raises ``StoreFailed`` when there is none, or ``revisions.NewerRevision``.
    """
    if not path.exists():
        raise StoreFailed(f"there is no store at {path}: check --state, or run `haulier-controlplane init`")
    try:
        tx = SqliteTx(library.connect(str(path), writing=False))
        if check_known(tx.connection) < newest_known() and not older_too:
            raise StoreFailed(f"the store {path} is older than this program: start `haulier-controlplane serve` once")
        tx.connection.execute("BEGIN")
    except library.Error as error:
        raise StoreFailed(f"cannot open the store {path}: {error}") from None
    return tx
