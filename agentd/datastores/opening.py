"""The datastore at a place: which engine serves it."""

from agentd.datastores.port.datastore import CsvPlace, Datastore, DuckdbPlace, ParquetPlace, Place, SqlitePlace


def open_datastore(place: Place, attempt_id: str = "") -> Datastore:
    """The datastore at a place. Engines are imported only when used: a child needs one or two of five.

    `attempt_id` names this attempt to the destination, so that a successor can evict it.
    """
    if isinstance(place, CsvPlace):
        from agentd.datastores.files.csv import CsvDatastore

        return CsvDatastore(place)
    if isinstance(place, ParquetPlace):
        from agentd.datastores.files.parquet import ParquetDatastore

        return ParquetDatastore(place)
    if isinstance(place, SqlitePlace):
        from agentd.datastores.sqlite.datastore import SqliteDatastore

        return SqliteDatastore(place)
    if isinstance(place, DuckdbPlace):
        from agentd.datastores.duckdb.datastore import DuckdbDatastore

        return DuckdbDatastore(place)
    from agentd.datastores.postgresql.datastore import PostgresqlDatastore

    return PostgresqlDatastore(place, attempt_id)
