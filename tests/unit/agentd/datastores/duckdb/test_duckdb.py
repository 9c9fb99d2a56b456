"""A DuckDB file comes into being whole or not at all."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from agentd.datastores.duckdb.datastore import DuckdbDatastore
from agentd.datastores.duckdb.place import DuckdbPlace
from agentd.datastores.port.datastore import Input, Location, Writer
from agentd.proof.types import Column, ColumnType

COLUMNS = (Column("a", ColumnType.INT64),)
# Limits the length of files before anything of the database is written.
LIMITED = """
import resource, sys
from pathlib import Path
from agentd.datastores.port.failures import StepFailure
from tests.unit.agentd.datastores.duckdb.test_duckdb import publish
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
try:
    publish(Path(sys.argv[1]), fence=1)
except StepFailure as failure:
    print(failure.code)
"""


def publish(path: Path, fence: int) -> None:
    rows = pa.RecordBatch.from_arrays([pa.array(range(10))], names=["a"])
    writer = Writer("there", fence, f"att_{fence}", "mig_1")
    DuckdbDatastore(DuckdbPlace("duck", path)).publish(
        Location("things", "things"), writer, Input(b"\1" * 16, COLUMNS), iter([rows])
    )


@pytest.mark.parametrize("limit", [100, 5000, 9000])
def test_a_file_that_could_not_be_made_is_made_by_the_next_try(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "x.duckdb"
    done = subprocess.run(
        [sys.executable, "-B", "-c", LIMITED, str(path), str(limit)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "file_too_large", done
    assert not path.exists()
    publish(path, fence=2)
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM things").fetchall() == [(10,)]
    assert not list(tmp_path.rglob("*.new*"))
