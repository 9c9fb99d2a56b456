"""`haulier-agentd inspect`: propose Datasets for the data that is on this host already.

`inspecting.py` looks at files and databases, `url.py` reads a PostgreSQL URL, `text.py` writes the proposals as YAML.

Not here: guessing a type from texts (`forms/guessing.py`) or from SQLite's values (`sqlite/guessing.py`).
"""
