"""The stores that the suite is run against. A new store joins by a line here, and must pass everything.

A factory is given an empty directory of its own.
"""

from collections.abc import Callable
from pathlib import Path

from tests.contract.store.sqlite.stores import Direct, InMemory, Served, ServedBriefly
from tests.contract.store.under_test import SharedStoreUnderTest, StoreUnderTest

SHARED: dict[str, Callable[[Path], SharedStoreUnderTest]] = {
    "sqlite file": Direct,
    "sqlite served": Served,
    "sqlite briefly": ServedBriefly,
}
ALL: dict[str, Callable[[Path], StoreUnderTest]] = {"sqlite memory": InMemory, **SHARED}
