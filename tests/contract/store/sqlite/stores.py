"""SQLite as stores of the suite: driven by hand in memory and on a file, and as it serves."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from controlplane.store.port import Brief, Tx
from controlplane.store.sqlite import library
from controlplane.store.sqlite.batcher import Batcher
from controlplane.store.sqlite.revisions import bring_up
from controlplane.store.sqlite.store import SqliteStore
from controlplane.store.sqlite.tx import SqliteTx

T = TypeVar("T")
FILE = "store.db"


class InMemory:
    """The batcher driven by hand, as the simulator does, on a store in memory, which outlives a reopening."""

    def __init__(self, directory: Path) -> None:
        self._open(":memory:")

    def _open(self, path: str) -> None:
        self.connection = library.connect(path, writing=True)
        bring_up(self.connection)
        self.batcher = Batcher(self.connection)

    def write(self, call: Callable[[Tx], T]) -> T:
        (answer,) = self.batch([call])
        if isinstance(answer, BaseException):
            raise answer
        return cast(T, answer)

    def batch(self, calls: Sequence[Callable[[Tx], Any]]) -> list[Any]:
        return [answer.error or answer.value for answer in self.batcher.run(calls)]

    def read(self, call: Callable[[Tx], T]) -> T:
        return call(SqliteTx(self.connection))

    def power_loss(self, calls: Sequence[Callable[[Tx], Any]]) -> None:
        self.batcher.prepare(calls)
        self.batcher.abandon()

    def reopen(self) -> None:
        self.batcher = Batcher(self.connection)

    def close(self) -> None:
        self.connection.close()


class Direct(InMemory):
    """The same on a file, with readers of their own."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE
        self._open(str(self.path))

    def read(self, call: Callable[[Tx], T]) -> T:
        with contextlib.closing(library.connect(str(self.path), writing=False)) as reader:
            return call(SqliteTx(reader))

    def reopen(self) -> None:
        self.close()
        self._open(str(self.path))

    def elsewhere(self, call: Callable[[Tx], T]) -> T:
        with contextlib.closing(library.connect(str(self.path), writing=True)) as other:
            return call(SqliteTx(other))


class Served:
    """The store as it serves: its writer thread, its readers, a loop that waits for both."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.store = SqliteStore(directory / FILE)

    def write(self, call: Callable[[Tx], T]) -> T:
        return asyncio.run(self.store.write(call))

    def batch(self, calls: Sequence[Callable[[Tx], Any]]) -> list[Any]:
        async def side_by_side() -> list[Any]:
            return await asyncio.gather(*(self.store.write(call) for call in calls), return_exceptions=True)

        return asyncio.run(side_by_side())

    def read(self, call: Callable[[Tx], T]) -> T:
        return asyncio.run(self.store.read(call))

    def power_loss(self, calls: Sequence[Callable[[Tx], Any]]) -> None:
        self.store.close()
        with contextlib.closing(Direct(self._directory)) as lost:
            lost.power_loss(calls)
        self.store = SqliteStore(self.store.path)

    def reopen(self) -> None:
        self.store.close()
        self.store = SqliteStore(self.store.path)

    def elsewhere(self, call: Callable[[Tx], T]) -> T:
        with contextlib.closing(library.connect(str(self.store.path), writing=True)) as other:
            return call(SqliteTx(other))

    def close(self) -> None:
        self.store.close()


class ServedBriefly(Served):
    """The same, with every call a brief one, which runs on the loop."""

    def write(self, call: Callable[[Tx], T]) -> T:
        return super().write(Brief(call))

    def batch(self, calls: Sequence[Callable[[Tx], Any]]) -> list[Any]:
        return super().batch([Brief(call) for call in calls])
