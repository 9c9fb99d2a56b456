"""Every store that the suite runs over. A new store joins by a line here, and must pass everything."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import pytest

from controlplane.store.port import Brief, Tx
from controlplane.store.sqlite import library
from controlplane.store.sqlite.batcher import Batcher
from controlplane.store.sqlite.revisions import bring_up
from controlplane.store.sqlite.store import SqliteStore
from controlplane.store.sqlite.tx import SqliteTx

T = TypeVar("T")


class StoreUnderTest(Protocol):
    """A store, one call or one batch at a time."""

    def write(self, call: Callable[[Tx], T]) -> T:
        """Run one call durably, or raise what it raised."""
        ...

    def batch(self, calls: Sequence[Callable[[Tx], Any]]) -> list[Any]:
        """Run calls side by side; an answer is a value or the exception."""
        ...

    def read(self, call: Callable[[Tx], T]) -> T:
        """Run a call on what is durable."""
        ...

    def power_loss(self, calls: Sequence[Callable[[Tx], Any]]) -> None:
        """Run calls and lose power before their commit."""
        ...

    def reopen(self) -> None:
        """Start again on what is durable."""
        ...


class Direct:
    """The batcher driven by hand, as the simulator does; on a file, or in memory, which outlives a reopening."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.connection = library.connect(str(path or ":memory:"), writing=True)
        bring_up(self.connection)
        self.batcher = Batcher(self.connection)

    def write(self, call: Callable[[Tx], T]) -> T:
        (answer,) = self.batch([call])
        if isinstance(answer, BaseException):
            raise answer
        return cast(T, answer)

    def batch(self, calls: Sequence[Callable[[Tx], Any]]) -> list[Any]:
        answers = self.batcher.run(cast(Any, calls))
        return [answer.error or answer.value for answer in answers]

    def read(self, call: Callable[[Tx], T]) -> T:
        if self._path is None:
            return call(cast(Tx, SqliteTx(self.connection)))
        reader = library.connect(str(self._path), writing=False)
        with contextlib.closing(reader):
            return call(cast(Tx, SqliteTx(reader)))

    def power_loss(self, calls: Sequence[Callable[[Tx], Any]]) -> None:
        self.batcher.prepare(cast(Any, calls))
        self.batcher.abandon()

    def reopen(self) -> None:
        if self._path is not None:
            self.connection.close()
            self.__init__(self._path)  # type: ignore[misc]

    def close(self) -> None:
        self.connection.close()


class Served:
    """The store as it serves: its writer thread, its readers, a loop that waits for both."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.store = SqliteStore(path)

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
        lost = Direct(self._path)
        lost.power_loss(calls)
        lost.close()
        self.store = SqliteStore(self._path)

    def reopen(self) -> None:
        self.store.close()
        self.store = SqliteStore(self._path)

    def close(self) -> None:
        self.store.close()


class ServedBriefly(Served):
    """The same, with every call a brief one, which runs on the loop."""

    def write(self, call: Callable[[Tx], T]) -> T:
        return super().write(Brief(call))

    def batch(self, calls: Sequence[Callable[[Tx], Any]]) -> list[Any]:
        return super().batch([Brief(call) for call in calls])


@pytest.fixture(params=["memory", "file", "served", "briefly"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreUnderTest]:
    """Each store in turn, empty."""
    path = tmp_path / "store.db"
    kinds: dict[str, Callable[[], Direct | Served]] = {
        "memory": lambda: Direct(None),
        "file": lambda: Direct(path),
        "served": lambda: Served(path),
        "briefly": lambda: ServedBriefly(path),
    }
    made = kinds[request.param]()
    with contextlib.closing(made):
        yield made


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Direct]:
    """SQLite on a file, for what is particular to it."""
    with contextlib.closing(Direct(tmp_path / "store.db")) as made:
        yield made
