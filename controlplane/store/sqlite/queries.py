"""Every statement under its name, read from ``queries/*.sql``.

A file holds blocks that begin with ``-- name: NAME`` and one line of purpose. ``{step}`` and ``{attempt}`` stand
for the column lists that ``rows`` reads. A limit is written ``LIMIT +?``: SQLite plans by the value of a bare ``?``
there, and so compiles the statement again for every call, which costs ten times the query.
"""

import re
from functools import cache
from importlib.resources import files

from controlplane.store.rows import ATTEMPT_COLUMNS, STEP_COLUMNS

_BLOCK = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


@cache
def named() -> dict[str, str]:
    """Return every statement by name; a name defined twice is our own error."""
    statements: dict[str, str] = {}
    for file in sorted(files("controlplane.store.sqlite").joinpath("queries").iterdir(), key=lambda f: f.name):
        parts = _BLOCK.split(file.read_text(encoding="utf-8"))[1:]
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            assert name not in statements, f"query {name} is defined twice"
            lines = [line for line in text.splitlines() if not line.startswith("--")]
            statement = " ".join(" ".join(lines).split()).rstrip(";")
            statements[name] = (
                statement.replace("{step}", STEP_COLUMNS)
                .replace("{s.step}", ", ".join("s." + c for c in STEP_COLUMNS.split(", ")))
                .replace("{attempt}", ATTEMPT_COLUMNS)
                .replace("{a.attempt}", ", ".join("a." + c for c in ATTEMPT_COLUMNS.split(", ")))
            )
    return statements
