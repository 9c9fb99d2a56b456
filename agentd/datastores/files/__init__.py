"""Directories of files as datastores: `csv.py` and `parquet.py`, on the base of `directory.py`.

`directory_parts.py` decides which files of a directory are read, `file_log.py` is the fence of a file,
`published_files.py` tells whether a file is still what was published, `compression.py` refuses what is compressed.

`engines.py` declares both engines, `places.py` says where their datastores are, `inspecting.py` proposes Datasets.

Not here: Parquet files as the form of staged parts (`forms/parquet_files.py`), or databases in one file (`sqlite`,
`duckdb`).
"""
