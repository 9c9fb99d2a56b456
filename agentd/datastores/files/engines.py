"""The engines of files, as everything else of the agent reads them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from agentd.datastores.files.places import CsvPlace, ParquetPlace
from agentd.datastores.port.engine import Engine, Failed, Inspection, Where
from agentd.datastores.port.messages import absolute, bad_params, sharing_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from haulier.v1 import kinds_pb2 as k

    from agentd.datastores.inspection.text import Proposal
    from agentd.datastores.port.datastore import Datastore


def _csv_place(message: k.Datastore, side: str, password: str) -> CsvPlace:
    del side, password
    found, name = message.csv, message.name
    root = absolute(found.root, "CSV root")
    delimiter = found.delimiter or ","
    if len(delimiter) != 1 or delimiter in '"\n\r' or not delimiter.isascii():
        raise bad_params(f"datastore {name!r}: delimiter {delimiter!r} is not one plain character")
    if re.search(r'["\n\r]', found.null_text) or delimiter in found.null_text:
        raise bad_params(f"datastore {name!r}: the NULL text holds a quote, delimiter or line end")
    return CsvPlace(name, root, delimiter, found.null_text, *sharing_of(found))


def _open_csv(place: Any, attempt_id: str) -> Datastore:
    from agentd.datastores.files.csv import CsvDatastore

    del attempt_id
    return CsvDatastore(place)


def _propose_csv(where: str, table: str, failed: Failed) -> Iterator[Proposal]:
    from agentd.datastores.files.inspecting import csv_proposals

    return csv_proposals(where, table, failed)


def _parquet_place(message: k.Datastore, side: str, password: str) -> ParquetPlace:
    del side, password
    return ParquetPlace(message.name, absolute(message.parquet.root, "Parquet root"), *sharing_of(message.parquet))


def _open_parquet(place: Any, attempt_id: str) -> Datastore:
    from agentd.datastores.files.parquet import ParquetDatastore

    del attempt_id
    return ParquetDatastore(place)


def _propose_parquet(where: str, table: str, failed: Failed) -> Iterator[Proposal]:
    from agentd.datastores.files.inspecting import parquet_proposals

    return parquet_proposals(where, table, failed)


CSV = Engine(
    name="csv",
    where=Where.DIRECTORY,
    place=_csv_place,
    open=_open_csv,
    inspection=Inspection(_propose_csv),
    preload=("pyarrow.csv",),
    example=("", "moved.csv"),
)
PARQUET = Engine(
    name="parquet",
    where=Where.DIRECTORY,
    place=_parquet_place,
    open=_open_parquet,
    inspection=Inspection(_propose_parquet, is_it=lambda start: start.startswith(b"PAR1")),
    preload=("pyarrow.parquet",),
    example=("", "moved.parquet"),
)
