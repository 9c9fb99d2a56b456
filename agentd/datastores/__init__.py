"""Datastores: everything that touches somebody's data, one folder per family of engines.

Each engine is a source and a fenced destination: it reads exactly, makes what it writes visible at once or not at all,
and refuses a stale writer *at the destination*.

  port          what every engine implements, the values that cross it, and how work on data fails
  files         CSV and Parquet files in directories
  sqlite, duckdb, postgresql   one folder per database
  fences        the fence and the records of publishes beside the data; ending a stopped writer
  forms         values and types: Arrow, text, COPY, Parquet files, guessing types from text
  sql           SQL as text: a SELECT run locked in, and the words of a stored statement
  waiting       waiting for others' locks, politely and for a bounded time
  inspection    `haulier-agentd inspect`: propose Datasets for data that is there already
  engines.py    the list of engines; each is declared in a file of its family, `engine.py`

Not here: what a step means (`agentd.executors`), what equal data is (`agentd.proof`), whether a step may touch a place
(`agentd.policy`).
"""
