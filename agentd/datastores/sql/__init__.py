"""SQL as text. `locked_sql.py` runs one SELECT that a person wrote, in a DuckDB that reaches nothing else; `words.py`
splits a statement that an engine stored into its words.

Not here: SQL that Haulier itself sends to an engine (that engine's folder).
"""
