"""Who may read what is published: modes, groups, and what an older release or somebody else left."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from agentd.datastores.duckdb.datastore import DuckdbDatastore
from agentd.datastores.duckdb.place import DuckdbPlace
from agentd.datastores.files.parquet import ParquetDatastore
from agentd.datastores.files.places import ParquetPlace
from agentd.datastores.port.datastore import Input, Location, Writer
from agentd.datastores.port.failures import StepFailure
from agentd.datastores.port.sharing import Sharing
from agentd.datastores.sqlite.datastore import SqliteDatastore
from agentd.datastores.sqlite.place import SqlitePlace
from agentd.proof.types import Column, ColumnType

COLUMNS = (Column("id", ColumnType.INT64),)
GROUP = os.getgroups()[-1] if os.getgroups() else os.getgid()


def rows() -> Iterator[pa.RecordBatch]:
    yield pa.RecordBatch.from_arrays([pa.array([1, 2])], names=["id"])


def publish(store: ParquetDatastore | SqliteDatastore | DuckdbDatastore, found: str, fence: int = 1) -> None:
    writer = Writer(target=f"{found}@lake", fence=fence, attempt_id=f"att_{fence}", migration_id="mig_1")
    store.publish(Location("things", found, COLUMNS, ()), writer, Input(bytes([fence]) * 16, COLUMNS, True), rows())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def private() -> Iterator[None]:
    """As a step's process: what it makes is its own."""
    before = os.umask(0o077)
    yield
    assert os.umask(before) == 0o077, "the umask of the process is what it was"


def group_name() -> str:
    import grp

    return grp.getgrgid(GROUP).gr_name


@pytest.mark.parametrize(
    ("asked", "file", "directory"), [(0, 0o640, 0o750), (0o660, 0o660, 0o770), (0o600, 0o600, 0o700)]
)
def test_a_published_file_and_its_log_can_be_read_as_the_datastore_says(
    tmp_path: Path, asked: int, file: int, directory: int
) -> None:
    store = ParquetDatastore(ParquetPlace("lake", tmp_path, asked))
    publish(store, "deep/down/things.parquet")
    publish(store, "deep/down/things.parquet", fence=2)
    made = [path for path in tmp_path.rglob("*") if "holders" not in path.parts]
    assert {mode(path) for path in made if path.is_file()} == {file}
    assert {mode(path) for path in made if path.is_dir()} == {directory}


def test_a_group_is_handed_on(tmp_path: Path) -> None:
    publish(ParquetDatastore(ParquetPlace("lake", tmp_path, 0o640, group_name())), "down/things.parquet")
    made = [path for path in tmp_path.rglob("*") if "holders" not in path.parts]
    assert {path.stat().st_gid for path in made} == {GROUP}
    assert {mode(path) for path in made if path.is_dir()} == {0o2750}
    assert {mode(path) for path in made if path.is_file()} == {0o640}


def test_a_group_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepFailure) as caught:
        publish(ParquetDatastore(ParquetPlace("lake", tmp_path, 0, "nobody-has-this")), "things.parquet")
    assert caught.value.code == "bad_group"
    assert "nobody-has-this" in caught.value.message


def test_what_was_there_before_keeps_its_readers(tmp_path: Path) -> None:
    store = ParquetDatastore(ParquetPlace("lake", tmp_path))
    theirs = tmp_path / "theirs.parquet"
    theirs.write_bytes(b"old")
    theirs.chmod(0o604)
    publish(store, "theirs.parquet")
    assert mode(theirs) == 0o604, "neither more nor less than its owner had said"
    theirs.chmod(0o644)
    publish(store, "theirs.parquet", fence=2)
    assert mode(theirs) == 0o644
    store = ParquetDatastore(ParquetPlace("lake", tmp_path, 0o600))
    publish(store, "theirs.parquet", fence=3)
    assert mode(theirs) == 0o600, "what the Datastore says counts"


def test_what_an_older_release_made_private_is_opened(tmp_path: Path) -> None:
    private = ParquetDatastore(ParquetPlace("lake", tmp_path, 0o600))
    publish(private, "things.parquet")
    log = tmp_path / "_haulier" / "things.parquet"
    assert mode(log) == mode(tmp_path / "_haulier") == 0o700
    publish(ParquetDatastore(ParquetPlace("lake", tmp_path)), "things.parquet", fence=2)
    assert mode(tmp_path / "things.parquet") == 0o640
    assert mode(log) == mode(tmp_path / "_haulier") == 0o750


@pytest.mark.parametrize("asked", [0, 0o660])
@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_new_database_file_can_be_read_as_the_datastore_says(tmp_path: Path, engine: str, asked: int) -> None:
    path = tmp_path / f"db.{engine}"
    if engine == "sqlite":
        publish(SqliteDatastore(SqlitePlace("db", path, asked, group_name())), "things")
    else:
        publish(DuckdbDatastore(DuckdbPlace("db", path, asked, group_name())), "things")
    assert mode(path) == (asked or 0o640)
    assert path.stat().st_gid == GROUP
    path.chmod(0o604)
    other = SqliteDatastore(SqlitePlace("db", path)) if engine == "sqlite" else DuckdbDatastore(DuckdbPlace("db", path))
    publish(other, "others")
    assert mode(path) == 0o604, "a file that is there is left as it is"


def test_directories_can_be_entered_by_whoever_reads() -> None:
    assert [oct(Sharing("x", asked).directory_mode) for asked in (0o600, 0o640, 0o660, 0o644)] == [
        "0o700",
        "0o750",
        "0o770",
        "0o755",
    ]
