"""The engines of files: CSV and Parquet."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from haulier.v1 import kinds_pb2
from pydantic import AfterValidator, Field

from controlplane.manifests.engines.engine import Engine, PlaceKey
from controlplane.manifests.engines.spec import AbsolutePath, FilesSpec, labels_of, sharing
from controlplane.manifests.kinds.model import Text, refusal


def _delimiter(value: str) -> str:
    if len(value) != 1 or value in '"\n\r\x00':
        raise refusal("the delimiter must be one character, and neither a quote nor a line break")
    return value


Delimiter = Annotated[str, AfterValidator(_delimiter)]


class CsvSpec(FilesSpec):
    """CSV files below one directory."""

    engine: Literal["csv"]
    root: AbsolutePath = Field(description="Absolute directory on the host.")
    delimiter: Delimiter = Field(default=",", description="Field separator.")
    null_text: Text = Field(default="", description="Text that stands for NULL in an unquoted field.")


class ParquetSpec(FilesSpec):
    """Parquet files below one directory."""

    engine: Literal["parquet"]
    root: AbsolutePath = Field(description="Absolute directory on the host.")


def _csv_store(spec: CsvSpec) -> kinds_pb2.CsvStore:
    return kinds_pb2.CsvStore(root=spec.root, delimiter=spec.delimiter, null_text=spec.null_text, **sharing(spec))


def _parquet_store(spec: ParquetSpec) -> kinds_pb2.ParquetStore:
    return kinds_pb2.ParquetStore(root=spec.root, **sharing(spec))


def _place_key(spec: CsvSpec | ParquetSpec, object_name: str) -> PlaceKey:
    # Both share a tree: one file cannot be both.
    return ("files", str(PurePosixPath(spec.root) / object_name), *labels_of(spec))


CSV = Engine(
    name="csv",
    title="CSV files",
    spec=CsvSpec,
    store=_csv_store,
    place_key=_place_key,
    dataset_options=("delimiter", "null_text"),
    declares_columns=True,
)
PARQUET = Engine(
    name="parquet",
    title="Parquet files",
    spec=ParquetSpec,
    store=_parquet_store,
    place_key=_place_key,
    holds_parts=True,
)
