"""`inspect --manifests`: what is written is right as it stands, and one bad file keeps nobody else from being read."""

import gzip
import subprocess
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlite_utils import Database

from agentd.__main__ import main
from agentd.datastores.inspection.inspecting import inspect, inspect_whole, proposals
from agentd.datastores.port.failures import StepFailure
from agentd.datastores.postgresql.url import postgresql_place
from controlplane.manifests.kinds.documents import Document
from controlplane.manifests.parsing import parse
from controlplane.manifests.text.findings import SourceFile
from controlplane.manifests.validating import validate

OWNER = "crew-planning"


def documents(text: str) -> dict[tuple[str, str], Document]:
    """What the text says, once it is seen that nothing of it would be refused by `apply`."""
    parsed = parse([SourceFile("inspected.yaml", text.encode())])
    assert parsed.findings == ()
    assert validate(parsed.documents, {}) == ()
    return {document.key: document for document in parsed.documents}


def mixed(directory: Path) -> Path:
    """CSV, Parquet, SQLite and DuckDB side by side, a directory of parts, and what is in the way."""
    directory.mkdir()
    (directory / "Crew List.csv").write_text("id;name\n1;NA\nNA;x\n")
    (directory / "crew-list.csv").write_text("id,name\n1,Ada\n")
    (directory / "notes.csv").write_bytes(b"id,name\n1,\xff\n")
    (directory / "old.csv.gz").write_bytes(gzip.compress(b"id\n1\n"))
    (directory / ".hidden.csv").write_text("id\n1\n")
    pq.write_table(pa.table({"a": pa.array([1], pa.int64())}), directory / "trips.parquet")
    parts = directory / "flights"
    parts.mkdir()
    for number in (1, 2):
        (parts / f"part-{number}.csv").write_text(f"n\n{number}\n")
    database = Database(directory / "shop.db")
    database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, what TEXT)")
    database.execute("INSERT INTO orders VALUES (1, 'tea')")
    database.conn.commit()
    database.close()
    with duckdb.connect(str(directory / "lab.duckdb")) as connection:
        connection.execute("CREATE TABLE runs (id BIGINT PRIMARY KEY)")
    return directory


def test_a_directory_of_many_files_is_many_datasets(tmp_path: Path) -> None:
    found = inspect_whole(str(mixed(tmp_path / "exports")), OWNER)
    kept = documents(found.text)
    assert {name for kind, name in kept if kind == "Dataset"} == {
        "crew-list",
        "crew-list-2",
        "flights",
        "trips",
        "orders",
        "runs",
    }
    stores = {name: document.spec for (kind, name), document in kept.items() if kind == "Datastore"}
    assert {name: spec.engine for name, spec in stores.items()} == {  # type: ignore[union-attr]
        "exports": "csv",
        "exports-duckdb": "duckdb",
        "exports-sqlite": "sqlite",
        "exports-parquet": "parquet",
    }
    assert {document.spec.owner for (kind, _), document in kept.items() if kind == "Dataset"} == {OWNER}  # type: ignore[union-attr]
    crew = kept["Dataset", "crew-list"].spec
    assert (crew.object, crew.delimiter, crew.null_text) == ("Crew List.csv", ";", "NA")  # type: ignore[union-attr]


def test_one_bad_file_is_named_with_what_is_wrong_and_others_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = mixed(tmp_path / "exports")
    assert main(["inspect", "--manifests", "--owner", OWNER, "--datastore", "files", str(directory)]) == 1
    shown = capsys.readouterr()
    assert ("Datastore", "files") in documents(shown.out)
    bad, packed = shown.err.splitlines()
    assert "notes.csv" in bad
    assert "\\xff" not in bad
    assert "old.csv.gz is compressed with gzip" in packed
    assert "gunzip --keep" in packed


def test_without_bad_files_it_ends_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n")
    assert main(["inspect", "--manifests", "--owner", OWNER, str(tmp_path / "a.csv")]) == 0
    assert ("Dataset", "a") in documents(capsys.readouterr().out)
    assert main(["inspect", str(tmp_path / "a.csv")]) == 0
    assert capsys.readouterr().out.startswith("# 1 rows read\nobject:")


def test_whole_manifests_need_an_owner(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--manifests", str(tmp_path)]) == 3
    assert "--owner" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (gzip.compress(b"id\n1\n"), "gzip"),
        (b"BZh91AY&SY....", "bzip2"),
        (b"\xfd7zXZ\0\0\0", "xz"),
        (b"\x28\xb5\x2f\xfd...", "zstd"),
        (b"PK\x03\x04...", "zip"),
    ],
)
def test_compressed_files_are_called_so(tmp_path: Path, start: bytes, name: str) -> None:
    (tmp_path / "x.csv").write_bytes(start)
    with pytest.raises(StepFailure, match=f"compressed with {name}") as caught:
        inspect(str(tmp_path / "x.csv"))
    assert caught.value.code == "compressed_file"
    assert str(tmp_path / "x.csv") in caught.value.hint


@pytest.mark.parametrize("name", ["x.csv.gz", "x.csv", "a name with blanks.csv"])
def test_the_command_that_is_offered_unpacks_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"id\n1\n"))
    with pytest.raises(StepFailure) as caught:
        inspect(str(tmp_path / name))
    command = caught.value.hint.removeprefix("Unpack it first: ")
    subprocess.run(["sh", "-c", command], check=True, timeout=60)
    (unpacked,) = [path for path in tmp_path.iterdir() if path.name != name]
    assert unpacked.read_bytes() == b"id\n1\n"
    assert (tmp_path / name).exists()


def test_a_text_that_begins_like_bzip2_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("BZh9,b\n1,2\n")
    (found,) = proposals(str(tmp_path / "x.csv"))
    assert [column.name for column in found.columns] == ["BZh9", "b"]


def test_every_part_of_a_url_counts() -> None:
    url = "postgresql://me@h:5433/db?schema=s&sslmode=verify-full&user=you&dbname=other&host=g&port=5434"
    place = postgresql_place(url + "&sslrootcert=/ca.crt&sslcert=/me.crt&sslkey=/me.key", "x")
    assert (place.host, place.port, place.database, place.user, place.schema) == ("g", 5434, "other", "you", "s")
    assert (place.sslmode, place.sslrootcert, place.sslcert, place.sslkey) == (
        "verify-full",
        "/ca.crt",
        "/me.crt",
        "/me.key",
    )
    plain = postgresql_place("postgres://[::1]/my%20db", "x")
    assert (plain.host, plain.port, plain.database, plain.user) == ("::1", 5432, "my db", "postgres")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me:hunter2@h/db", "password"),
        ("postgresql://me@h/db?password=hunter2", "password"),
        ("postgresql://h/db?application_name=x", "application_name"),
        ("postgresql://h1,h2/db", "several hosts"),
        ("postgresql://h:99999999/db", "port"),
        ("postgresql://h/db?port=none", "port"),
    ],
)
def test_what_a_url_cannot_say_is_refused_by_name(url: str, said: str) -> None:
    with pytest.raises(StepFailure) as caught:
        postgresql_place(url, "x")
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)
