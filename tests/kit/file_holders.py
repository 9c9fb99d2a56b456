"""A process of somebody else's that reads or writes a SQLite or DuckDB file and does not go on."""

import subprocess
import sys
from pathlib import Path

_READ_SQLITE = """
import sys
from sqlite_utils import Database
connection = Database(sys.argv[1]).conn
connection.isolation_level = None
connection.execute("BEGIN")
connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
print("reading", flush=True)
sys.stdin.read()
"""
_READ_DUCKDB = """
import sys
import duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
print("reading", flush=True)
sys.stdin.read()
"""
_WRITE_SQLITE = """
import sys
from sqlite_utils import Database
connection = Database(sys.argv[1]).conn
connection.isolation_level = None
connection.execute("BEGIN " + sys.argv[2])
print("writing", flush=True)
sys.stdin.read()
"""
_WRITE_DUCKDB = """
import sys
import duckdb
connection = duckdb.connect(sys.argv[1])
connection.begin()
connection.execute("CREATE TABLE of_somebody (id INTEGER)")
print("writing", flush=True)
sys.stdin.read()
"""


class _Idle:
    """Holds a lock on the file from its making to `end`."""

    def __init__(self, program: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() in ("reading\n", "writing\n")

    @property
    def pid(self) -> int:
        return self._process.pid

    def end(self) -> None:
        """Let the file go; harmless when repeated."""
        self._process.communicate()


class IdleReader(_Idle):
    """Holds the file's read lock."""

    def __init__(self, path: Path) -> None:
        super().__init__(_READ_DUCKDB if path.suffix == ".duckdb" else _READ_SQLITE, str(path))


class IdleWriter(_Idle):
    """Holds the file's write lock, in the middle of a transaction; `exclusive` keeps readers of SQLite out as well."""

    def __init__(self, path: Path, *, exclusive: bool = False) -> None:
        if path.suffix == ".duckdb":
            super().__init__(_WRITE_DUCKDB, str(path))
        else:
            super().__init__(_WRITE_SQLITE, str(path), "EXCLUSIVE" if exclusive else "IMMEDIATE")
