"""A migration in miniature: the real executors move a few rows to one datastore, and a stale writer must be refused."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
from google.protobuf.message import Message
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.engine import Engine
from agentd.datastores.port.failures import Fenced
from agentd.executors.context import Context
from agentd.executors.extract import Extract
from agentd.executors.load import Load
from agentd.executors.translate import column_message
from agentd.executors.validate import Validate
from agentd.proof.digests import digest_of
from agentd.proof.types import Column, Columns, ColumnType

ROWS = 2_000
FIRST_FENCE, FENCE = 1, 3
COLUMNS: Columns = (
    Column("id", ColumnType.INT64, required=True),
    Column("name", ColumnType.TEXT),
    Column("amount", ColumnType.DECIMAL, 12, 2),
    Column("fresh", ColumnType.BOOL),
)
_SOURCE = "source.csv"


class NotProven(Exception):
    """What the miniature must show did not show; says what."""


def text_of_source() -> str:
    """The rows that are moved, as CSV: quotes, commas and nothing among them."""
    lines = ["id,name,amount,fresh"]
    for number in range(ROWS):
        name = "" if number % 7 == 0 else f'"row {number}, ""quoted"" ä€"'
        lines.append(f"{number},{name},{number}.{number % 100:02d},{'true' if number % 2 else 'false'}")
    return "\n".join(lines) + "\n"


def _rows() -> pa.RecordBatch:
    """The same rows, made without reading anything: what the digests must say."""
    from decimal import Decimal

    numbers = range(ROWS)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(numbers, pa.int64()),
            pa.array([None if n % 7 == 0 else f'row {n}, "quoted" ä€' for n in numbers], pa.string()),
            pa.array([Decimal(f"{n}.{n % 100:02d}") for n in numbers], pa.decimal128(12, 2)),
            pa.array([bool(n % 2) for n in numbers], pa.bool_()),
        ],
        names=[each.name for each in COLUMNS],
    )


def _csv(root: Path) -> k.Datastore:
    return k.Datastore(name="csv", csv=k.CsvStore(root=str(root)))


def _datastore(engine: Engine, directory: Path) -> tuple[k.Datastore, str]:
    """A datastore of an engine that needs no server, in a directory, and the object that is moved there."""
    assert engine.example is not None
    file, found = engine.example
    message = k.Datastore(name=engine.name)
    setattr(getattr(message, engine.name), engine.path_field, str(directory / file))
    return message, found


@dataclass(frozen=True, slots=True)
class Miniature:
    """One migration in miniature below `scratch`, to the datastore of one engine."""

    scratch: Path
    engine: Engine

    def run(self) -> None:
        """Move, prove, and see a stale writer refused. Raises NotProven, or whatever a broken executor raises."""
        home = self.scratch / self.engine.name
        for name in ("source", "staging", "there", "attempts"):
            (home / name).mkdir(parents=True)
        (home / "source" / _SOURCE).write_text(text_of_source(), encoding="utf-8")
        source = k.DatasetLocation(
            dataset="miniature",
            datastore=_csv(home / "source"),
            object=_SOURCE,
            key=["id"],
            columns=[column_message(each) for each in COLUMNS],
        )
        made, found = _datastore(self.engine, home / "there")
        there = k.DatasetLocation(dataset="miniature", datastore=made, object=found, key=["id"])
        staging = k.Datastore(name="staging", parquet=k.ParquetStore(root=str(home / "staging")))
        extract = k.ExtractParams(source=source, staging=staging, part_rows_max=997)
        extracted = k.ExtractResult.FromString(Extract().run(self._attempt(1, "extract", extract, FIRST_FENCE))).output
        if extracted.digest != digest_of([_rows()], COLUMNS).value():
            raise NotProven(f"{self.engine.name}: what was read is not what was written")
        load = k.LoadParams(input=extracted, destination=there)
        Load().run(self._attempt(2, "load", load, FENCE))
        self._refuse_stale(load)
        proof = k.ValidateParams(
            source=source, extracted=extracted, loaded=extracted, destination=there, published_fence=FENCE
        )
        result = k.ValidateResult.FromString(Validate().run(self._attempt(4, "validate", proof, FENCE)))
        if result.rows != ROWS or result.destination_digest != extracted.digest:
            raise NotProven(f"{self.engine.name}: {result.rows} rows arrived, sent were {ROWS}")

    def _refuse_stale(self, load: k.LoadParams) -> None:
        stale = k.LoadParams()
        stale.CopyFrom(load)
        stale.if_exists = k.IF_EXISTS_REPLACE
        try:
            Load().run(self._attempt(3, "load", stale, FENCE - 1))
        except Fenced:
            return
        raise StaleAccepted(f"{self.engine.name}: a writer with a stale fence was let in")

    def _attempt(self, number: int, kind: str, params: Message, fence: int) -> Context:
        directory = self.scratch / self.engine.name / "attempts" / f"att_{number}"
        directory.mkdir()
        return Context(
            attempt_id=f"att_selftest_{self.engine.name}_{number}",
            step_id=f"step_{kind}",
            migration_id="mig_selftest",
            number=1,
            fence=fence,
            target="miniature@there",
            params=params.SerializeToString(),
            directory=directory,
        )


class StaleAccepted(NotProven):
    """The fence did not hold: the worst that a release can do."""
