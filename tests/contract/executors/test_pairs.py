"""Every pair of engines, both ways, with rows that break careless movers: what arrives is exactly what was there."""

import dataclasses
import random
from pathlib import Path

import pyarrow as pa
import pytest
from haulier.v1 import kinds_pb2 as k

from agentd.executors.extract import Extract
from agentd.executors.load import Load
from agentd.executors.translate import column_message, columns
from agentd.executors.validate import Validate
from agentd.proof.digests import digest_of
from agentd.proof.types import Columns
from tests.contract.executors.attempts import attempt
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import ENGINES, Place, make_place
from tests.kit import torture
from tests.kit.postgres import PostgresServer

PAIRS = [(a, b) for a in ENGINES for b in ENGINES]


@dataclasses.dataclass
class Pair:
    """A source filled with rows, and a destination."""

    scene: Scene
    source: Place

    def move(self, rows: list[pa.RecordBatch], key: tuple[str, ...], found: Columns) -> k.ValidateResult:
        """Fill the source, extract it, load it at the destination, prove it."""
        scene = self.scene
        into = dataclasses.replace(scene, place=self.source)
        origin = k.LoadParams(input=scene.staged(rows, found), destination=into.destination(key))
        Load().run(attempt(scene.home, "load", origin, 1, target="ds_origin"))
        declared = [column_message(c) for c in found]
        if self.source.engine not in ("csv", "sqlite"):
            declared = []
        source = into.destination(key)
        source.columns.extend(declared)
        params = k.ExtractParams(source=source, staging=scene.staging, part_rows_max=97)
        extracted = k.ExtractResult.FromString(Extract().run(attempt(scene.home, "extract", params, 1))).output
        wanted = digest_of(rows, found)
        assert columns(extracted.columns) == found or [(c.name, c.spelled()) for c in columns(extracted.columns)] == [
            (c.name, c.spelled()) for c in found
        ]
        assert (extracted.rows, extracted.digest) == (wanted.rows, wanted.value())
        destination = scene.destination(key)
        load = k.LoadParams(input=extracted, destination=destination)
        Load().run(attempt(scene.home, "load", load, 3))
        proof = k.ValidateParams(source=source, extracted=extracted, loaded=extracted, destination=destination)
        result = Validate().run(attempt(scene.home, "validate", proof, 3))
        return k.ValidateResult.FromString(result)


def make_pair(make_scene: MakeScene, request: pytest.FixtureRequest, home: Path, source: str, destination: str) -> Pair:
    scene = make_scene(destination)
    server: PostgresServer | None = None
    if source == "postgresql":
        server = request.getfixturevalue("postgres_server")
    return Pair(scene, make_place(source, home / "origin", server, "origin"))


@pytest.mark.parametrize(("source", "destination"), PAIRS)
def test_every_type_arrives_exactly(
    make_scene: MakeScene, request: pytest.FixtureRequest, tmp_path: Path, source: str, destination: str
) -> None:
    pair = make_pair(make_scene, request, tmp_path, source, destination)
    rows = torture.batch(unordered="sqlite" not in (source, destination))
    result = pair.move([rows], ("id",), torture.COLUMNS)
    assert result.rows == 240
    assert result.destination_digest == digest_of([rows], torture.COLUMNS).value()


@pytest.mark.parametrize(("source", "destination"), PAIRS[::4])
def test_no_rows_arrive_as_no_rows(
    make_scene: MakeScene, request: pytest.FixtureRequest, tmp_path: Path, source: str, destination: str
) -> None:
    pair = make_pair(make_scene, request, tmp_path, source, destination)
    assert pair.move([], ("id",), torture.COLUMNS).rows == 0


@pytest.mark.parametrize(("source", "destination"), PAIRS[1::4])
def test_doubled_rows_without_a_key_arrive_as_often(
    make_scene: MakeScene, request: pytest.FixtureRequest, tmp_path: Path, source: str, destination: str
) -> None:
    pair = make_pair(make_scene, request, tmp_path, source, destination)
    rows = torture.batch(60, unordered=False)
    assert pair.move([rows, rows, rows.slice(0, 7)], (), torture.COLUMNS).rows == 127


@pytest.mark.parametrize("column", torture.COLUMNS[1:], ids=lambda c: c.spelled())
@pytest.mark.parametrize("destination", ENGINES)
def test_a_single_column_arrives(
    make_scene: MakeScene, request: pytest.FixtureRequest, tmp_path: Path, destination: str, column: object
) -> None:
    """One column alone is where text formats cannot tell an empty line from NULL."""
    pair = make_pair(make_scene, request, tmp_path, "csv", destination)
    index = torture.COLUMNS.index(column)
    rows = torture.batch(40, unordered=False).select([index])
    assert pair.move([rows], (), (torture.COLUMNS[index],)).rows == 40


@pytest.mark.parametrize("destination", ENGINES)
@pytest.mark.parametrize("seed", range(4))
def test_random_text_arrives(
    make_scene: MakeScene, request: pytest.FixtureRequest, tmp_path: Path, destination: str, seed: int
) -> None:
    rng = random.Random(seed)
    alphabet = [chr(c) for c in range(1, 0x250) if not 0xD800 <= c < 0xE000] + list('"",,\n\n\r\\\t€𝄞\u2028\ufffe')
    texts = [
        rng.choice([None, "", "".join(rng.choice(alphabet) for _ in range(rng.randrange(30)))]) for _ in range(300)
    ]
    rows = pa.RecordBatch.from_arrays([pa.array(texts, pa.string())], names=["Mixed Name"])
    pair = make_pair(make_scene, request, tmp_path, "csv", destination)
    assert pair.move([rows], (), (torture.COLUMNS[5],)).rows == 300
