"""One world per test: a staging directory, staged torture rows, and a fresh place of the engine in question."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from haulier.v1 import kinds_pb2 as k

from agentd.executors import staging
from agentd.executors.translate import column_message
from agentd.proof.types import Columns
from tests.contract.executors.attempts import Child, attempt
from tests.contract.executors.places import Place, make_place
from tests.kit import postgres, torture

postgres_server = postgres.postgres_server


@dataclass
class Scene:
    """What a test needs: a home directory, a staging datastore, a place, and children that are ended with it."""

    home: Path
    place: Place
    staging: k.Datastore
    children: list[Child]

    def staged(self, batches: list[pa.RecordBatch] | None = None, columns: Columns = torture.COLUMNS) -> k.Staged:
        """Staged parts of these rows, by default torture rows that every engine can hold."""
        rows = [torture.batch(unordered=False)] if batches is None else batches
        return staging.stage(attempt(self.home, "extract", k.ExtractParams(), 1), self.staging, columns, rows, 100)

    def destination(self, key: tuple[str, ...] = ("id",)) -> k.DatasetLocation:
        """The place's object as a destination."""
        return k.DatasetLocation(dataset="things", datastore=self.place.datastore, object=self.place.object, key=key)

    def load_params(self, staged: k.Staged, replace: bool = False) -> k.LoadParams:
        """Parameters of a load of these parts."""
        how = k.IF_EXISTS_REPLACE if replace else k.IF_EXISTS_REFUSE
        return k.LoadParams(input=staged, destination=self.destination(), if_exists=how)

    def located(self, columns: Columns = torture.COLUMNS) -> k.DatasetLocation:
        """The place's object as a source with declared columns."""
        found = self.destination()
        found.columns.extend(column_message(c) for c in columns)
        return found


MakeScene = Callable[[str], Scene]


@pytest.fixture
def make_scene(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[MakeScene]:
    """Makes the scene for an engine; starts PostgreSQL only for it."""
    children: list[Child] = []

    def make(engine: str) -> Scene:
        server = request.getfixturevalue("postgres_server") if engine == "postgresql" else None
        root = tmp_path / "staging"
        root.mkdir()
        parquet = k.Datastore(name="staging", parquet=k.ParquetStore(root=str(root)))
        return Scene(tmp_path, make_place(engine, tmp_path / engine, server), parquet, children)

    yield make
    for child in children:
        child.end()
