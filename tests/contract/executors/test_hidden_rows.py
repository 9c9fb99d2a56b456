"""What a source hides is read, refused or named: never is a part of it taken for the whole."""

from collections.abc import Mapping
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.failures import StepFailure
from agentd.executors import staging
from agentd.executors.extract import Extract
from agentd.executors.validate import Validate
from tests.contract.executors.attempts import attempt, run
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import FilePlace, PostgresqlPlace

TEXT, WHOLE = k.COLUMN_TYPE_TEXT, k.COLUMN_TYPE_INT64


def extracted(scene: Scene, place: k.Datastore, found: str, columns: list[k.Column] | None = None) -> k.ExtractResult:
    source = k.DatasetLocation(dataset="things", datastore=place, object=found, columns=columns or [])
    params = k.ExtractParams(source=source, staging=scene.staging)
    return k.ExtractResult.FromString(Extract().run(attempt(scene.home, "extract", params, 1)))


def rows_of(scene: Scene, result: k.ExtractResult) -> list[dict[str, object]]:
    batches = staging.rows_of(attempt(scene.home, "extract", k.ExtractParams(), 1), result.output)
    return [row for batch in batches for row in batch.to_pylist()]


HIDING = {
    "a policy": ("ENABLE", "GRANT SELECT ON things TO {reader}", "things"),
    "a forced policy of its owner": ("FORCE", "ALTER TABLE things OWNER TO {reader}", "things"),
    "a view of its owner": (
        "FORCE",
        "SET ROLE {owner}; CREATE VIEW seen AS TABLE things; GRANT SELECT ON seen TO {reader}",
        "seen",
    ),
    "a view of whoever asks": (
        "ENABLE",
        "CREATE VIEW seen WITH (security_invoker) AS TABLE things; GRANT SELECT ON things, seen TO {reader}",
        "seen",
    ),
}


@pytest.mark.parametrize("how", HIDING)
def test_row_security_never_hides_a_row(make_scene: MakeScene, how: str) -> None:
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    force, statement, found = HIDING[how]
    reader = f"{place.schema}_reader"
    with place.connect(place.server.admin) as connection:
        for each in (
            f"CREATE ROLE {reader} LOGIN",
            f"GRANT USAGE ON SCHEMA {place.schema} TO {reader}",
            f"SET ROLE {place.server.role}",
            "CREATE TABLE things (id bigint, team text)",
            "INSERT INTO things SELECT i, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END FROM generate_series(1, 10) i",
            "CREATE POLICY see_a ON things USING (team = 'a')",
            "ALTER TABLE things ENABLE ROW LEVEL SECURITY",
            f"ALTER TABLE things {force} ROW LEVEL SECURITY",
            "RESET ROLE",
            statement.format(reader=reader, owner=place.server.role),
            "RESET ROLE",
        ):
            connection.execute(each.encode())
    place.datastore.postgresql.user = reader
    with pytest.raises(StepFailure) as caught:
        extracted(scene, place.datastore, found)
    assert caught.value.code == "rows_hidden" and not caught.value.retryable
    # The remedy that the message gives is one.
    remedy = caught.value.hint.partition(": ")[2].partition(" (")[0]
    who = place.server.role if how == "a view of its owner" else reader
    with place.connect(place.server.admin) as connection:
        connection.execute(remedy.replace(reader, who).encode())
        try:
            assert extracted(scene, place.datastore, found).output.rows == 10
        finally:
            connection.execute(f"ALTER ROLE {who} NOBYPASSRLS".encode())


def test_row_security_at_the_destination_does_not_shorten_the_proof(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    with place.connect() as connection:
        connection.execute(b"CREATE TABLE source AS SELECT i::bigint AS id FROM generate_series(1, 4) i")
    found = extracted(scene, place.datastore, "source")
    load = scene.load_params(found.output)
    run("load", attempt(scene.home, "load", load, 2))
    with place.connect() as connection:
        connection.execute(b"CREATE POLICY half ON things USING (id > 2)")
        connection.execute(b"ALTER TABLE things ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    source = k.DatasetLocation(dataset="things", datastore=place.datastore, object="source")
    params = k.ValidateParams(source=source, extracted=found.output, loaded=found.output, destination=load.destination)
    with pytest.raises(StepFailure) as caught:
        Validate().run(attempt(scene.home, "validate", params, 2))
    assert caught.value.code == "rows_hidden"


def test_a_column_that_may_not_be_read_is_not_left_out(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    reader = f"{place.schema}_reader"
    with place.connect(place.server.admin) as connection:
        connection.execute(f"CREATE ROLE {reader} LOGIN".encode())
        connection.execute(f"GRANT USAGE ON SCHEMA {place.schema} TO {reader}".encode())
        connection.execute(b"CREATE TABLE things (id bigint, pay bigint)")
        connection.execute(f"GRANT SELECT (id) ON things TO {reader}".encode())
    place.datastore.postgresql.user = reader
    with pytest.raises(StepFailure) as caught:
        extracted(scene, place.datastore, "things")
    assert caught.value.code == "permission_denied"


def lake(scene: Scene, files: Mapping[str, object]) -> Path:
    """A directory `sales` of Parquet or CSV files: rows by name, or what else stands there as text."""
    assert isinstance(scene.place, FilePlace)
    for name, content in files.items():
        path = scene.place.root / "sales" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        else:
            pq.write_table(pa.table({"id": content}), path)
    return scene.place.root / "sales"


def test_partition_directories_are_columns(make_scene: MakeScene) -> None:
    scene = make_scene("parquet")
    lake(
        scene,
        {
            "year=2024/city=S%C3%A3o%20Paulo/a.parquet": [1, 2],
            "year=2025/city=__HIVE_DEFAULT_PARTITION__/b.parquet": [3],
        },
    )
    found = extracted(scene, scene.place.datastore, "sales")
    assert [(c.name, c.type) for c in found.output.columns] == [("id", WHOLE), ("year", TEXT), ("city", TEXT)]
    assert rows_of(scene, found) == [
        {"id": 1, "year": "2024", "city": "São Paulo"},
        {"id": 2, "year": "2024", "city": "São Paulo"},
        {"id": 3, "year": "2025", "city": None},
    ]
    # What another reader makes of the same directory.
    sql = f"SELECT count(*), count(city) FROM read_parquet('{scene.home}/**/*.parquet', hive_partitioning = true)"
    assert duckdb.sql(sql.replace("**", "parquet/sales/**")).fetchone() == (3, 2)
    declared = [k.Column(name="year", type=WHOLE), k.Column(name="id", type=WHOLE), k.Column(name="city", type=TEXT)]
    assert rows_of(scene, extracted(scene, scene.place.datastore, "sales", declared))[2] == {
        "year": 2025,
        "id": 3,
        "city": None,
    }


def test_partition_directories_of_csv_are_columns(make_scene: MakeScene) -> None:
    scene = make_scene("csv")
    lake(scene, {"day=2024-01-31/a.csv": "id\n1\n", "day=2024-02-01/b.csv": "id\n2\n"})
    declared = [k.Column(name="id", type=WHOLE), k.Column(name="day", type=k.COLUMN_TYPE_DATE)]
    found = rows_of(scene, extracted(scene, scene.place.datastore, "sales", declared))
    assert [(row["id"], str(row["day"])) for row in found] == [(1, "2024-01-31"), (2, "2024-02-01")]
    with pytest.raises(StepFailure) as caught:
        extracted(scene, scene.place.datastore, "sales", declared[:1])
    assert caught.value.code == "columns_differ" and "undeclared column 'day'" in caught.value.message


REFUSED: dict[str, tuple[dict[str, object], str, str]] = {
    "a part beside partitions": ({"k=a/a.parquet": [1], "b.parquet": [2]}, "partitions_differ", "b.parquet"),
    "other partitions": ({"k=a/a.parquet": [1], "j=a/b.parquet": [2]}, "partitions_differ", "k=…"),
    "a partition that is a column too": ({"id=1/a.parquet": [1]}, "partitions_differ", "'id'"),
    "a part without a suffix": ({"a.parquet": [1], "part-00001": [2]}, "rows_hidden", "part-00001"),
    "a part in capitals": ({"a.parquet": [1], "B.PARQUET": [2]}, "rows_hidden", "B.PARQUET"),
    "a compressed part": ({"a.parquet": [1], "b.parquet.gz": "x"}, "rows_hidden", "b.parquet.gz"),
    "a Delta Lake table": ({"a.parquet": [1], "_delta_log/0.json": "{}"}, "rows_hidden", "Delta Lake"),
    "an Iceberg table": ({"data/a.parquet": [1], "metadata/v1.metadata.json": "{}"}, "rows_hidden", "Iceberg"),
    "parts of other columns": ({"a.parquet": [1], "b.parquet": ["x"]}, "columns_differ", "'id'"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_directory_that_may_hide_rows_is_refused(make_scene: MakeScene, what: str) -> None:
    scene = make_scene("parquet")
    files, code, named = REFUSED[what]
    lake(scene, files)
    with pytest.raises(StepFailure) as caught:
        extracted(scene, scene.place.datastore, "sales")
    assert caught.value.code == code
    assert named in caught.value.message


@pytest.mark.parametrize("to", ["a directory", "outside", "nowhere"])
def test_a_link_that_would_hide_rows_is_refused(make_scene: MakeScene, to: str) -> None:
    scene = make_scene("parquet")
    sales = lake(scene, {"a.parquet": [1], "../older/b.parquet": [2]})
    outside = scene.home / "outside.parquet"
    pq.write_table(pa.table({"id": [3]}), outside)
    target = {"a directory": sales.parent / "older", "outside": outside, "nowhere": sales / "gone"}[to]
    (sales / "link.parquet").symlink_to(target)
    with pytest.raises(StepFailure) as caught:
        extracted(scene, scene.place.datastore, "sales")
    assert caught.value.code == "rows_hidden" and "link.parquet" in caught.value.message


def test_a_link_within_the_root_is_read(make_scene: MakeScene) -> None:
    scene = make_scene("parquet")
    sales = lake(scene, {"a.parquet": [1], "../older/b.parquet": [2]})
    (sales / "link.parquet").symlink_to(sales.parent / "older" / "b.parquet")
    assert extracted(scene, scene.place.datastore, "sales").output.rows == 2


def test_files_that_are_passed_over_are_named(make_scene: MakeScene) -> None:
    scene = make_scene("parquet")
    lake(scene, {"a.parquet": [1], "_SUCCESS": "", ".a.parquet.crc": "", "_old.parquet": [2], "about.md": "x"})
    found = extracted(scene, scene.place.datastore, "sales")
    assert found.output.rows == 1
    assert [(d.kind, list(d.names)) for d in found.definitions] == [
        (k.DEFINITION_KIND_SKIPPED_FILE, ["_old.parquet", "about.md"])
    ]


def test_what_does_not_come_along_is_in_the_proof(make_scene: MakeScene) -> None:
    """All that a verified table loses, by name: what is at both ends is not lost."""
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    with place.connect() as connection:
        for each in (
            "CREATE TABLE source (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, word varchar(9) UNIQUE)",
            "CREATE INDEX by_length ON source (length(word))",
            "COMMENT ON TABLE source IS 'a secret of the trade'",
            "INSERT INTO source (word) VALUES ('one'), ('two')",
        ):
            connection.execute(each.encode())
    found = extracted(scene, place.datastore, "source")
    load = scene.load_params(found.output)
    run("load", attempt(scene.home, "load", load, 2))
    source = k.DatasetLocation(dataset="things", datastore=place.datastore, object="source")
    params = k.ValidateParams(
        source=source, extracted=found.output, loaded=found.output, destination=load.destination, published_fence=2
    )
    proof = k.ValidateResult.FromString(Validate().run(attempt(scene.home, "validate", params, 2)))
    assert all(check.passed for check in proof.checks)
    lost = {k.DefinitionKind.Name(each.kind)[len("DEFINITION_KIND_") :]: list(each.names) for each in proof.left_behind}
    assert lost == {
        "INDEX": ["by_length"],
        "UNIQUE": ["source_word_key"],
        "IDENTITY": ["id"],
        "COMMENT": ["source"],
        "TYPE": ["id: integer", "word: character varying(9)"],
    }
    # The primary key and what refuses NULL are at the destination too.
    assert {"PRIMARY_KEY", "NOT_NULL"} <= {k.DefinitionKind.Name(e.kind)[16:] for e in found.definitions}
    assert b"secret" not in proof.SerializeToString()
