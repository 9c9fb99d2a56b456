"""CSV dialects, directories of parts, and what readers see while Haulier publishes beside other people's files."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from agentd.datastores.files.csv import CsvDatastore
from agentd.datastores.files.places import CsvPlace
from agentd.datastores.port.datastore import Input, Location, Undo, Writer
from agentd.datastores.port.failures import StepFailure
from agentd.proof.types import Column, ColumnType

WORDS = (Column("a", ColumnType.TEXT), Column("n", ColumnType.INT64))


def store(root: Path, delimiter: str = ",", null_text: str = "") -> CsvDatastore:
    return CsvDatastore(CsvPlace("files", root, delimiter, null_text))


def rows(found: CsvDatastore, name: str) -> list[tuple[str | None, int | None]]:
    batches = list(found.read(Location("d", name), WORDS))
    return [(row["a"], row["n"]) for batch in batches for row in batch.to_pylist()]


@pytest.mark.parametrize(
    ("data", "delimiter", "null_text", "expected"),
    [
        (b'a,n\n,1\n"",2\n', ",", "", [(None, 1), ("", 2)]),
        (b'a;n\nx,y;1\n"a;b";\n', ";", "", [("x,y", 1), ("a;b", None)]),
        (b'a\tn\nNA\tNA\n"NA"\t3\n\t4\n', "\t", "NA", [(None, None), ("NA", 3), ("", 4)]),
        (b"\xef\xbb\xbfa,n\r\nx,1\r\n", ",", "", [("x", 1)]),
        (b"n,a\n1,x", ",", "", [("x", 1)]),
        (b'"a","n"\n"line\r\n""two""","7"\n', ",", "", [('line\r\n"two"', 7)]),
        (b"a,n\n", ",", "", []),
        (b"a,n", ",", "", []),
    ],
)
def test_dialects(
    tmp_path: Path, data: bytes, delimiter: str, null_text: str, expected: list[tuple[str | None, int | None]]
) -> None:
    (tmp_path / "x.csv").write_bytes(data)
    assert rows(store(tmp_path, delimiter, null_text), "x.csv") == expected


def test_a_directory_of_parts_is_one_object(tmp_path: Path) -> None:
    for name, text in (("b.csv", "a,n\ny,2\n"), ("a.csv", "n,a\n1,x\n"), ("_SUCCESS", ""), (".c.csv", "a,n\nz,3\n")):
        path = tmp_path / "parts" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = store(tmp_path)
    assert rows(found, "parts") == [("x", 1), ("y", 2)]
    assert found.objects() == ["parts/a.csv", "parts/b.csv"]


def test_the_root_cannot_be_left_by_a_symbolic_link(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret.csv").write_text("a,n\nx,1\n")
    (root / "x.csv").symlink_to(tmp_path / "secret.csv")
    with pytest.raises(StepFailure) as caught:
        rows(store(root), "x.csv")
    assert caught.value.code == "bad_name"


def publish(found: CsvDatastore, fence: int, value: int, migration: str = "mig_1", replace: bool = False) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(["x"]), pa.array([value])], names=["a", "n"])
    who = Writer("there", fence, f"att_{fence}", migration)
    found.publish(Location("d", "x.csv"), who, Input(bytes([value] * 16), WORDS, replace), iter([batch]))


def test_readers_follow_the_log_where_the_bare_name_is_stale(tmp_path: Path) -> None:
    """What a late writer could do at worst: put a superseded publish back under the bare name."""
    found = store(tmp_path)
    publish(found, 1, 1)
    stale = tmp_path / "stale"
    os.link(tmp_path / "x.csv", stale)
    publish(found, 2, 2)
    assert rows(found, "x.csv") == [("x", 2)]
    stale.replace(tmp_path / "x.csv")
    assert rows(found, "x.csv") == [("x", 2)]
    (tmp_path / "x.csv").unlink()
    assert rows(found, "x.csv") == [("x", 2)]


def test_what_somebody_else_put_there_since_is_read(tmp_path: Path) -> None:
    found = store(tmp_path)
    publish(found, 1, 1)
    (tmp_path / "new").write_text("a,n\ntheirs,9\n")
    (tmp_path / "new").replace(tmp_path / "x.csv")
    assert rows(found, "x.csv") == [("theirs", 9)]
    # Only who asks for it may replace it, and then it is kept for undo.
    with pytest.raises(StepFailure) as caught:
        publish(found, 2, 2, migration="mig_2")
    assert caught.value.code == "not_as_published"
    assert rows(found, "x.csv") == [("theirs", 9)]
    publish(found, 2, 2, migration="mig_2", replace=True)
    found.withdraw(Location("d", "x.csv"), Writer("there", 3, "att_3", "mig_2"), Undo(WORDS))
    assert rows(found, "x.csv") == [("theirs", 9)]


def test_what_somebody_put_there_after_an_undo_is_theirs(tmp_path: Path) -> None:
    found = store(tmp_path)
    publish(found, 1, 1)
    found.withdraw(Location("d", "x.csv"), Writer("there", 2, "att_2", "mig_1"), Undo(WORDS))
    assert not (tmp_path / "x.csv").exists()
    (tmp_path / "x.csv").write_text("a,n\ntheirs,9\n")
    found.withdraw(Location("d", "x.csv"), Writer("there", 3, "att_3", "mig_1"), Undo(WORDS))
    assert rows(found, "x.csv") == [("theirs", 9)]
    with pytest.raises(StepFailure) as caught:
        publish(found, 4, 4)
    assert caught.value.code == "object_exists"


def test_a_file_system_without_links_gets_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only data is copied: the log itself needs link(), which is what makes a number unique."""
    real = os.link

    def refuse_data(source: Path, destination: Path) -> None:
        if Path(destination).suffix == ".json":
            real(source, destination)
        else:
            raise PermissionError(1, "Operation not permitted", str(source))

    monkeypatch.setattr(os, "link", refuse_data)
    (tmp_path / "x.csv").write_text("a,n\nearlier,0\n")
    found = store(tmp_path)
    publish(found, 1, 1, replace=True)
    assert rows(found, "x.csv") == [("x", 1)]
    found.withdraw(Location("d", "x.csv"), Writer("there", 2, "att_2", "mig_1"), Undo(WORDS))
    assert (tmp_path / "x.csv").read_text() == "a,n\nearlier,0\n"
