"""Models into the contract's messages: what ``${migration.…}`` stands for, frozen when a migration is planned."""

from __future__ import annotations

import json

from haulier.v1 import kinds_pb2

from controlplane.manifests.engines.spec import EngineSpec
from controlplane.manifests.kinds.column_types import parse_type
from controlplane.manifests.kinds.dataset import ColumnSpec, DatasetSpec
from controlplane.manifests.kinds.datastore import ENGINES, engine_of
from controlplane.manifests.kinds.migration import MigrationSpec, TestQuerySpec
from controlplane.manifests.sql.guard import single_statement

_IF_EXISTS = {"refuse": kinds_pb2.IF_EXISTS_REFUSE, "replace": kinds_pb2.IF_EXISTS_REPLACE}


def datastore_message(name: str, spec: EngineSpec) -> kinds_pb2.Datastore:
    """Write a Datastore as an agent needs it to connect."""
    message = kinds_pb2.Datastore(name=name)
    getattr(message, spec.engine).CopyFrom(engine_of(spec).store(spec))
    return message


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
    engine = ENGINES[datastore.WhichOneof("engine")]
    for option in engine.dataset_options:
        if (value := getattr(dataset, option)) is not None:
            setattr(getattr(found, engine.name), option, value)
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
