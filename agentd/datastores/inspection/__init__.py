"""`haulier-agentd inspect`: propose Datasets for the data that is on this host already.

`inspecting.py` finds out whose data it is and asks that engine, `describing.py` proposes what an engine says of its
tables, `text.py` writes the proposals as YAML.

Not here: what is proposed for one engine's data (`inspecting.py` of that engine), guessing a type from texts
(`forms/guessing.py`) or from SQLite's values (`sqlite/guessing.py`).
"""
