"""Models into the contract's messages: what ``${migration.…}`` stands for, frozen when a migration is planned."""

from __future__ import annotations

import json

from haulier.v1 import kinds_pb2

from controlplane.manifests.kinds.column_types import parse_type
from controlplane.manifests.kinds.dataset import ColumnSpec, DatasetSpec
from controlplane.manifests.kinds.datastore import (
    CsvSpec,
    DatastoreSpec,
    DuckdbSpec,
    FilesSpec,
    ParquetSpec,
    PostgresqlSpec,
    SqliteSpec,
)
from controlplane.manifests.kinds.migration import MigrationSpec, TestQuerySpec
from controlplane.manifests.kinds.model import duration_s
from controlplane.manifests.sql.guard import single_statement

_IF_EXISTS = {"refuse": kinds_pb2.IF_EXISTS_REFUSE, "replace": kinds_pb2.IF_EXISTS_REPLACE}


def datastore_message(name: str, spec: DatastoreSpec) -> kinds_pb2.Datastore:
    """Write a Datastore as an agent needs it to connect."""
    message = kinds_pb2.Datastore(name=name)
    if isinstance(spec, CsvSpec):
        message.csv.CopyFrom(
            kinds_pb2.CsvStore(root=spec.root, delimiter=spec.delimiter, null_text=spec.null_text, **_sharing(spec))
        )
    elif isinstance(spec, ParquetSpec):
        message.parquet.CopyFrom(kinds_pb2.ParquetStore(root=spec.root, **_sharing(spec)))
    elif isinstance(spec, SqliteSpec):
        wait_s = lock_wait_s(spec.lock_wait)
        message.sqlite.CopyFrom(kinds_pb2.SqliteStore(path=spec.path, lock_wait_s=wait_s, **_sharing(spec)))
    elif isinstance(spec, DuckdbSpec):
        wait_s = lock_wait_s(spec.lock_wait)
        message.duckdb.CopyFrom(kinds_pb2.DuckdbStore(path=spec.path, lock_wait_s=wait_s, **_sharing(spec)))
    elif isinstance(spec, PostgresqlSpec):
        message.postgresql.CopyFrom(
            kinds_pb2.PostgresqlStore(
                host=spec.host,
                port=spec.port,
                database=spec.database,
                user=spec.user,
                password_ref=spec.password_ref or "",
                schema=spec.schema_,
                sslmode=spec.sslmode,
                lock_wait_s=lock_wait_s(spec.lock_wait),
                sslrootcert=spec.sslrootcert or "",
                sslcert=spec.sslcert or "",
                sslkey=spec.sslkey or "",
            )
        )
    return message


def _sharing(spec: FilesSpec) -> dict[str, str]:
    return {"file_mode": spec.file_mode or "", "group": spec.group or ""}


def lock_wait_s(text: str) -> int:
    """Write a bound on a wait in whole seconds, at least one."""
    return max(1, round(duration_s(text)))


def column_message(column: ColumnSpec) -> kinds_pb2.Column:
    """Write a declared column."""
    logical = parse_type(column.type)
    return kinds_pb2.Column(
        name=column.name,
        type=logical.type,
        precision=logical.precision,
        scale=logical.scale,
        required=column.required,
    )


def read_as(dataset: DatasetSpec, datastore: kinds_pb2.Datastore) -> kinds_pb2.Datastore:
    """Return the Datastore with what the Dataset says of how its own file is read."""
    found = kinds_pb2.Datastore()
    found.CopyFrom(datastore)
    if datastore.HasField("csv") and dataset.delimiter is not None:
        found.csv.delimiter = dataset.delimiter
    if datastore.HasField("csv") and dataset.null_text is not None:
        found.csv.null_text = dataset.null_text
    return found


def source_message(name: str, dataset: DatasetSpec, datastore: kinds_pb2.Datastore) -> kinds_pb2.DatasetLocation:
    """Write where a dataset lives now."""
    return kinds_pb2.DatasetLocation(
        dataset=name,
        datastore=datastore,
        object=dataset.object,
        columns=[column_message(column) for column in dataset.columns],
        key=dataset.key,
    )


def destination_message(
    migration: MigrationSpec, dataset: DatasetSpec, datastore: kinds_pb2.Datastore
) -> kinds_pb2.DatasetLocation:
    """Write where a dataset goes. Without a transform it keeps its columns and key; with one, it has those declared."""
    columns = migration.to.columns if migration.transform is not None else dataset.columns
    key = migration.to.key if migration.transform is not None else dataset.key
    return kinds_pb2.DatasetLocation(
        dataset=migration.dataset,
        datastore=datastore,
        object=migration.to.object,
        columns=[column_message(column) for column in columns],
        key=key,
    )


def query_message(query: TestQuerySpec) -> kinds_pb2.TestQuery:
    """Write a test query; each expected row becomes a JSON array of texts and nulls."""
    rows = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in query.expect]
    return kinds_pb2.TestQuery(name=query.name, sql=single_statement(query.sql), expected_rows_json=rows)


def if_exists_value(migration: MigrationSpec) -> kinds_pb2.IfExists:
    """Write what load does with an object that is already there."""
    return _IF_EXISTS[migration.to.if_exists]
