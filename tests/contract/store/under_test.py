"""What the suite asks of a store that it is run against: one call or one batch at a time, and what only a test does."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from controlplane.store.port import Tx

T = TypeVar("T")


class StoreUnderTest(Protocol):
    """A store, empty at first."""

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

    def close(self) -> None:
        """Let go of it."""
        ...


class SharedStoreUnderTest(StoreUnderTest, Protocol):
    """A store that others can reach too."""

    def elsewhere(self, call: Callable[[Tx], T]) -> T:
        """Run one call durably as somebody else would, past this store."""
        ...
