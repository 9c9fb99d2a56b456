"""The store as one process of the control plane sees it: the real batcher on one connection, driven by virtual time.

The connection outlives the process, as a file would. A killed process never hears the answers of its open batch; what
the batch had not committed is gone.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar, cast

from controlplane.service.errors import NotFound, Precondition
from controlplane.store.port import Conflict, StoreFailed, Tx
from controlplane.store.sqlite import library
from controlplane.store.sqlite.batcher import Answer, Batcher, Call
from controlplane.store.sqlite.revisions import bring_up

if TYPE_CHECKING:
    from tests.sim.world import World

T = TypeVar("T")

_EXPECTED = (StoreFailed, NotFound, Precondition)
_template: list[Any] = []


def fresh_connection() -> Any:
    """A new empty store in memory, copied from one that was brought up once."""
    if not _template:
        _template.append(library.connect(":memory:", writing=True))
        bring_up(_template[0])
    connection = library.connect(":memory:", writing=True)
    _template[0].backup(connection)
    return connection


# The slowest that a disk is.
FSYNC_S_MAX = 1.5


class FailingConnection:
    """A connection whose disk is full from one statement of the batch on."""

    def __init__(self, connection: Any, fails_at: str) -> None:
        self._connection = connection
        self._fails_at = fails_at

    def execute(self, statement: str, *values: Any) -> Any:
        """Run it, unless it is the one at which the disk is full."""
        if statement == self._fails_at:
            raise library.OperationalError("database or disk is full")
        return self._connection.execute(statement, *values)

    @property
    def in_transaction(self) -> bool:
        """As the connection underneath."""
        return bool(self._connection.in_transaction)


class SimStore:
    """See ``controlplane.store.port.Store``."""

    def __init__(self, world: "World", connection: Any, rng: Random) -> None:
        self._world = world
        self._connection = connection
        self._rng = rng
        self._batcher = Batcher(connection)
        self._waiting: list[tuple[Call, asyncio.Future[Any]]] = []
        self._busy = False
        self._answered_at = 0.0
        self.dead = False

    async def write(self, call: Callable[[Tx], T]) -> T:
        """Run ``call`` in the next batch; return its answer once the batch is durable."""
        future: asyncio.Future[T] = self._world.loop.create_future()
        if not self.dead:
            self._waiting.append((cast(Call, call), future))
            if not self._busy:
                self._busy = True
                self._world.loop.call_later(self._fsync_s(), self._commit)
        return await future

    async def read(self, call: Callable[[Tx], T]) -> T:
        """Run ``call`` on what is committed."""
        if self.dead:
            return cast(T, await self._world.loop.create_future())
        found = call(self._batcher.tx)
        if self._world.rollouts.wanted and self._rng.random() < 0.05:
            # What was read may be old by the time that somebody acts upon it.
            self._world.rollouts.slow_read()
            read = self._world.loop.create_future()
            self._world.loop.call_later(self._rng.uniform(0.001, 1.5), _wake, read)
            await read
        return found

    def newest_at(self) -> float:
        """The newest instant in the event log, as the real store tells it."""
        row = self._connection.execute("SELECT at FROM event ORDER BY position DESC LIMIT 1").fetchone()
        return float(row[0]) if row else 0.0

    def die(self) -> None:
        """The process is killed: at a point of the open batch that the seed chooses."""
        self.dead = True
        batch, self._waiting = self._waiting, []
        if not batch:
            return
        point = self._rng.random()
        if point < 0.3:
            self._batcher.prepare([call for call, _ in batch])
            self._batcher.abandon()
            self._world.mark("plane killed before its commit")
        elif point < 0.7:
            self._batcher.run([call for call, _ in batch])
            self._world.committed()
            self._world.mark("plane killed after its commit, before the answer")

    def _fsync_s(self) -> float:
        return self._rng.uniform(0.0005, 0.004) if self._rng.random() < 0.97 else self._rng.uniform(0.05, FSYNC_S_MAX)

    def _commit(self) -> None:
        if self.dead:
            return
        batch, self._waiting = self._waiting, []
        if self._world.faults.store_fails():
            answers = self._failing([call for call, _ in batch])
        else:
            answers = self._batcher.run([call for call, _ in batch])
        self._world.committed()
        for answer in answers:
            self._judge(answer)
        if len(batch) > 1:
            self._world.mark("several calls in one commit")
        # The disk may take its time before the calls run or after; what they saw is then old when they are answered.
        # Answers leave in the order of their commits.
        self._answered_at = max(self._answered_at, self._world.loop.time() + self._fsync_s())
        self._world.loop.call_at(self._answered_at, self._deliver, batch, answers)
        self._busy = bool(self._waiting)
        if self._busy:
            self._world.loop.call_later(self._fsync_s(), self._commit)

    def _failing(self, calls: list[Call]) -> list[Answer]:
        whole = self._batcher.connection
        self._batcher.connection = FailingConnection(whole, self._rng.choice(("COMMIT", "COMMIT", "RELEASE call")))
        try:
            return self._batcher.run(calls)
        finally:
            self._batcher.connection = whole
            self._world.mark("a commit met a full disk")

    def _judge(self, answer: Answer) -> None:
        """Nothing but the few refusals may come out of a transaction; a conflict would mean two deciders."""
        error = answer.error
        if error is None or isinstance(error, _EXPECTED):
            return
        promise = "L4" if isinstance(error, Conflict) else "C"
        self._world.broken(promise, "store", f"a transaction raised {type(error).__name__}: {error}", error)

    def _deliver(self, batch: list[tuple[Call, "asyncio.Future[Any]"]], answers: list[Answer]) -> None:
        if self.dead:
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if answer.error is not None:
                future.set_exception(answer.error)
            else:
                future.set_result(answer.value)


def _wake(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)
