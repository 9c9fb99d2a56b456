"""A SQLite file whose writer was killed in the middle is read as it was before."""

import shutil
from pathlib import Path

import pytest

from agentd.datastores.port.datastore import Location
from agentd.datastores.port.failures import StepFailure
from agentd.datastores.sqlite.datastore import SqliteDatastore
from agentd.datastores.sqlite.place import SqlitePlace
from agentd.datastores.sqlite.session import sqlite3
from agentd.proof.types import Column, ColumnType

LOCATION = Location("things", "things", (Column("a", ColumnType.INT64), Column("b", ColumnType.TEXT)))


def left_in_the_middle(folder: Path, journal_mode: str) -> Path:
    """Make a file as a killed writer leaves it: copied, with its journal, out of an open transaction."""
    living = folder / "living.db"
    connection = sqlite3.connect(living, isolation_level=None)
    connection.execute(f"PRAGMA journal_mode = {journal_mode}")
    connection.execute("CREATE TABLE things (a INTEGER, b TEXT)")
    connection.executemany("INSERT INTO things VALUES (?, ?)", [(i, "x" * 500) for i in range(200)])
    # So small a cache that the transaction reaches the file before its end.
    connection.execute("PRAGMA cache_size = 2")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE things SET a = -1")
    for suffix in ("", "-journal", "-wal"):
        if living.with_name(living.name + suffix).exists():
            shutil.copyfile(living.with_name(living.name + suffix), folder / f"dead.db{suffix}")
    connection.rollback()
    connection.close()
    return folder / "dead.db"


@pytest.mark.parametrize("journal_mode", ["DELETE", "WAL"])
def test_what_a_killed_writer_left_is_rolled_back_before_reading(tmp_path: Path, journal_mode: str) -> None:
    path = left_in_the_middle(tmp_path, journal_mode)
    datastore = SqliteDatastore(SqlitePlace("field", path))
    read = [value for batch in datastore.read(LOCATION, LOCATION.columns) for value in batch.column("a").to_pylist()]
    assert read == list(range(200))
    assert not path.with_name("dead.db-journal").exists()


def test_a_transaction_left_in_the_middle_of_a_session_is_tried_again(tmp_path: Path) -> None:
    path = left_in_the_middle(tmp_path, "DELETE")
    journal = path.with_name("dead.db-journal")
    kept = journal.rename(tmp_path / "kept")
    datastore = SqliteDatastore(SqlitePlace("field", path))
    with pytest.raises(StepFailure, match="killed in the middle") as caught, datastore.session() as session:
        # The writer dies now, after the session was opened.
        kept.rename(journal)
        session.rows("SELECT count(*) FROM things")
    assert caught.value.retryable
