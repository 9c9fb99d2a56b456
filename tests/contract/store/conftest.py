"""Each store in turn."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.store.factories import ALL, SHARED
from tests.contract.store.under_test import SharedStoreUnderTest, StoreUnderTest


@pytest.fixture(params=ALL)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoreUnderTest]:
    """Each store in turn, empty."""
    with contextlib.closing(ALL[request.param](tmp_path)) as made:
        yield made


@pytest.fixture(params=SHARED)
def shared_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SharedStoreUnderTest]:
    """Each store that others can reach too, empty."""
    with contextlib.closing(SHARED[request.param](tmp_path)) as made:
        yield made
