"""The forms that values take between engines, and their types.

`arrow_form.py` brings batches into exact columns, `text_cells.py` turns values into text and back, `copy_text.py` does
so for PostgreSQL's COPY, `duckdb_types.py` maps DuckDB's types, `parquet_files.py` reads and writes Parquet files,
`guessing.py` learns a type from texts, `duplicate_keys.py` words the failure of a key that is not unique.

Not here: what equal values are (`agentd.proof`), or reading a datastore.
"""
