"""The one SQLite library of this process, and the refusal of one that is known to corrupt a WAL.

pysqlite3 bundles a SQLite of its own; the interpreter's may lie in the range 3.7.0 to 3.51.2, in which
simultaneous writing and checkpointing can corrupt a write-ahead log. Two libraries in one process would drop
each other's POSIX file locks, so nothing else in Haulier may import another.
"""

from typing import Any

try:
    import pysqlite3.dbapi2 as sqlite
except ImportError:
    # No wheel for this machine (ARM): what is at hand is used if it is safe, and refused by name if not.
    from sqlite_utils.utils import sqlite3 as sqlite  # type: ignore[attr-defined]

WAL_SAFE_FROM = (3, 51, 3)

Connection = sqlite.Connection
Error = sqlite.Error
IntegrityError = sqlite.IntegrityError
# A full disk, an I/O error: what the disk refuses arrives as this.
OperationalError = sqlite.OperationalError


class UnsafeLibrary(RuntimeError):
    """The SQLite library at hand is inside the known corruption range."""


def connect(path: str, *, writing: bool) -> Any:
    """Open ``path`` in WAL mode with ``synchronous=FULL``; transactions are begun by hand.

    Raises ``UnsafeLibrary`` where the library must not be trusted with a WAL.
    """
    if sqlite.sqlite_version_info < WAL_SAFE_FROM:
        raise UnsafeLibrary(
            f"SQLite {sqlite.sqlite_version} can corrupt a write-ahead log; install pysqlite3 >= 0.6.1, "
            f"which brings SQLite {'.'.join(map(str, WAL_SAFE_FROM))} or newer"
        )
    connection = sqlite.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    if path != ":memory:":
        connection.execute("PRAGMA journal_mode=WAL")
    # FULL: a commit is on the disk before its answer leaves (promise C1).
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute("PRAGMA cache_size=-65536")
    # 16 MiB of log: at the default of 4 the pages at the ends of the indexes are copied back over and over.
    connection.execute("PRAGMA wal_autocheckpoint=4000")
    if not writing:
        connection.execute("PRAGMA query_only=ON")
    return connection


def plain(address: str) -> Any:
    """Open a file, or a ``file:`` address, as it is: for copies, which nobody else has open."""
    return sqlite.connect(address, isolation_level=None, uri=address.startswith("file:"))
