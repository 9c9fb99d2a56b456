"""Brings a database file to the schema revision this program knows, and refuses a newer one."""

from importlib.resources import files
from typing import Any


class NewerRevision(RuntimeError):
    """The file was written by a newer Haulier."""


def known() -> list[tuple[int, str]]:
    """Return (number, SQL) of every revision, in order."""
    found = []
    for file in files("controlplane.store.sqlite").joinpath("revisions").iterdir():
        if file.name.endswith(".sql"):
            number, _, _ = file.name.partition("_")
            found.append((int(number), file.read_text(encoding="utf-8")))
    return sorted(found)


def bring_up(connection: Any) -> int:
    """Apply the missing revisions, each in a transaction of its own; return the number reached.

    Raises ``NewerRevision`` when the file is ahead of this program.
    """
    current = check_known(connection)
    for number, text in known():
        if number > current:
            connection.executescript(f"BEGIN IMMEDIATE;\n{text}\nPRAGMA user_version = {number};\nCOMMIT;")
    return newest_known()


def newest_known() -> int:
    """Return the number of the newest revision."""
    return max(number for number, _ in known())


def check_known(connection: Any) -> int:
    """Return the file's revision. Raises ``NewerRevision`` when it is ahead of this program."""
    (current,) = connection.execute("PRAGMA user_version").fetchone()
    newest = newest_known()
    if current > newest:
        raise NewerRevision(
            f"the store is at revision {current}, this program knows {newest}: start the newer haulier-controlplane "
            "that wrote it, or restore a backup from before it"
        )
    return int(current)
