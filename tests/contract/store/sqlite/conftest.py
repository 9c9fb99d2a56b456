"""SQLite on a file, for what is particular to it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.store.sqlite.stores import Direct


@pytest.fixture
def file_store(tmp_path: Path) -> Iterator[Direct]:
    """A store on a file, driven by hand."""
    with contextlib.closing(Direct(tmp_path)) as made:
        yield made
