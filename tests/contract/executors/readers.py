"""A process of somebody else's that reads a SQLite or DuckDB file and does not go on."""

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


class IdleReader:
    """Holds the file's read lock from its making to `end`."""

    def __init__(self, path: Path) -> None:
        program = _READ_DUCKDB if path.suffix == ".duckdb" else _READ_SQLITE
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "reading\n"

    @property
    def pid(self) -> int:
        return self._process.pid

    def end(self) -> None:
        """Let the file go; harmless when repeated."""
        self._process.communicate()
