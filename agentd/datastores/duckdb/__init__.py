"""DuckDB files as datastores.

`engine.py` declares it, `place.py` says where a datastore is. `datastore.py` is the engine with its session; the other
files are its definitions, its tables, and what it says of errors, without values.

Not here: DuckDB as the machine that runs a person's SELECT (`sql/locked_sql.py`), its types (`forms/duckdb_types.py`).
"""
