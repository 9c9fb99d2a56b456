"""`extract` from every datastore and `transform`: run twice, killed and run again, undone, cancelled, hostile SQL."""

import dataclasses
import signal
from pathlib import Path

import pytest
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.failures import Cancelled, StepFailure
from agentd.executors.extract import Extract
from agentd.executors.load import Load
from agentd.executors.transform import Transform
from agentd.proof.digests import combined, digest_of
from tests.contract.executors.attempts import Child, attempt, run
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import ENGINES
from tests.kit import torture

STAGING_POINTS = ("before_publish", "after_publish")
DIGEST = digest_of([torture.batch(unordered=False)], torture.COLUMNS).value()


def filled(make_scene: MakeScene, engine: str) -> tuple[Scene, k.ExtractParams]:
    """A scene whose place holds the torture rows, and parameters that extract them in five parts."""
    scene = make_scene(engine)
    Load().run(attempt(scene.home, "load", scene.load_params(scene.staged()), 1))
    return scene, k.ExtractParams(source=scene.located(), staging=scene.staging, part_rows_max=50)


def directories(scene: Scene, step: str) -> list[str]:
    root = Path(scene.staging.parquet.root) / "mig_1" / step
    return sorted(p.name for p in root.iterdir()) if root.exists() else []


@pytest.mark.parametrize("engine", ENGINES)
def test_extract_takes_the_digest_of_what_it_read(make_scene: MakeScene, engine: str) -> None:
    scene, params = filled(make_scene, engine)
    ctx = attempt(scene.home, "extract", params, 1)
    output = k.ExtractResult.FromString(run("extract", ctx)).output
    assert (output.rows, output.digest, len(output.parts)) == (240, DIGEST, 5)
    assert [p.rows for p in output.parts] == [50, 50, 50, 50, 40]
    assert combined(p.digest for p in output.parts) == DIGEST
    # Run twice, by the same attempt: found done; forced: the same bytes.
    assert Extract().probe(ctx) is not None
    assert k.ExtractResult.FromString(Extract().run(ctx)).output == output
    Extract().undo(attempt(scene.home, "extract", params, 2))
    assert directories(scene, "step_extract") == []
    Extract().undo(attempt(scene.home, "extract", params, 3))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("point", STAGING_POINTS)
def test_extract_killed_and_run_again_equals_one_run(make_scene: MakeScene, engine: str, point: str) -> None:
    scene, params = filled(make_scene, engine)
    killed = attempt(scene.home, "extract", params, 1)
    child = Child("extract", killed, point, signal.SIGKILL)
    scene.children.append(child)
    child.await_point()
    found = Extract().probe(killed)
    assert (found is not None) == (point == "after_publish")
    again = attempt(scene.home, "extract", params, 2, evict_attempt_ids=(killed.attempt_id,))
    output = k.ExtractResult.FromString(run("extract", again)).output
    assert (output.rows, output.digest, output.directory) == (240, DIGEST, f"mig_1/step_extract/{again.attempt_id}")
    assert Load().run(attempt(scene.home, "load", scene.load_params(output), 9))


@pytest.mark.parametrize("engine", ENGINES)
def test_extract_cancelled_stages_nothing_that_counts(make_scene: MakeScene, engine: str) -> None:
    scene, params = filled(make_scene, engine)

    def cancel() -> None:
        raise Cancelled

    ctx = attempt(scene.home, "extract", params, 1, check_cancelled=cancel)
    with pytest.raises(Cancelled):
        run("extract", ctx)
    assert Extract().probe(ctx) is None


@pytest.mark.parametrize("engine", ENGINES)
def test_a_column_that_is_not_there_is_refused_by_name(make_scene: MakeScene, engine: str) -> None:
    scene, params = filled(make_scene, engine)
    params.source.columns.add(name="colour", type=k.COLUMN_TYPE_TEXT)
    with pytest.raises(StepFailure) as caught:
        run("extract", attempt(scene.home, "extract", params, 1))
    assert caught.value.code == "columns_differ"
    assert "'colour'" in caught.value.message


@pytest.mark.parametrize("engine", ENGINES)
def test_an_object_that_is_not_there_is_refused_with_what_is(make_scene: MakeScene, engine: str) -> None:
    scene, params = filled(make_scene, engine)
    params.source.object = "nothing"
    with pytest.raises(StepFailure) as caught:
        run("extract", attempt(scene.home, "extract", params, 1))
    assert caught.value.code == "not_found"
    assert scene.place.object in caught.value.hint


def transform_params(scene: Scene, sql: str) -> k.TransformParams:
    return k.TransformParams(input=scene.staged(), sql=sql)


@pytest.mark.parametrize("point", STAGING_POINTS)
def test_transform_killed_and_run_again_equals_one_run(make_scene: MakeScene, point: str) -> None:
    scene = make_scene("parquet")
    params = transform_params(scene, 'SELECT id, upper("Mixed Name") AS name, ratio * 2 AS twice FROM input')
    wanted = k.TransformResult.FromString(run("transform", attempt(scene.home, "transform", params, 1))).output
    assert wanted.rows == 240
    killed = attempt(scene.home, "transform", params, 2)
    child = Child("transform", killed, point, signal.SIGKILL)
    scene.children.append(child)
    child.await_point()
    again = attempt(scene.home, "transform", params, 3)
    output = k.TransformResult.FromString(run("transform", again)).output
    assert (output.digest, output.rows, [p.digest for p in output.parts]) == (
        wanted.digest,
        wanted.rows,
        [p.digest for p in wanted.parts],
    )
    Transform().undo(attempt(scene.home, "transform", params, 4))
    assert directories(scene, "step_transform") == []
    assert len(directories(scene, "step_extract")) == 1


def test_transform_carries_every_type_through(make_scene: MakeScene) -> None:
    scene = make_scene("parquet")
    rows = torture.batch()
    staged = scene.staged([rows])
    params = k.TransformParams(input=staged, sql="SELECT * FROM input", columns=scene.located().columns)
    output = k.TransformResult.FromString(run("transform", attempt(scene.home, "transform", params, 1))).output
    assert output.digest == staged.digest


def test_transform_of_nothing_has_its_columns(make_scene: MakeScene) -> None:
    scene = make_scene("parquet")
    params = k.TransformParams(input=scene.staged([]), sql="SELECT id, flag FROM input")
    output = k.TransformResult.FromString(run("transform", attempt(scene.home, "transform", params, 1))).output
    assert ([c.name for c in output.columns], output.rows, list(output.parts)) == (["id", "flag"], 0, [])


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT count(*) FROM read_csv('/etc/passwd')", "Cannot access file"),
        ("SELECT * FROM read_text('/etc/passwd')", "Cannot access file"),
        ("SELECT * FROM '/etc/passwd'", "passwd"),
        ("SELECT * FROM glob('/*')", "Cannot access file"),
        ("SELECT * FROM read_parquet('http://127.0.0.1:9/x.parquet')", ""),
        ("ATTACH '/tmp/other.duckdb'", "ATTACH"),
        ("COPY input TO '/tmp/stolen.csv'", "COPY"),
        ("SELECT 1; SELECT 2", "SELECT, SELECT"),
        ("INSTALL httpfs", "LOAD"),
        ("LOAD httpfs", "LOAD"),
        ("SET enable_external_access = true", "SET"),
        ("CREATE TABLE t AS SELECT 1", "CREATE"),
        ("PRAGMA database_list; DROP VIEW input", ""),
        ("CALL pragma_version()", "CALL"),
        ("SELECT * FROM postgres_scan('host=127.0.0.1', 'public', 't')", ""),
        ("SELECT * FROM rows", "rows"),
        ("SELECT getenv('HOME')", "getenv"),
        ("", "nothing"),
        ("SELEC 1", ""),
    ],
)
def test_transform_is_locked_in(make_scene: MakeScene, sql: str, said: str) -> None:
    scene = make_scene("parquet")
    with pytest.raises(StepFailure) as caught:
        run("transform", attempt(scene.home, "transform", transform_params(scene, sql), 1))
    assert caught.value.code == "bad_sql"
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("sql", "column", "found"),
    [
        ("SELECT sum(id) AS total FROM input", "total", "HUGEINT"),
        ("SELECT [id] AS ids FROM input", "ids", "BIGINT[]"),
        ("SELECT uuid() AS u FROM input", "u", "UUID"),
        ("SELECT local - local AS d FROM input", "d", "INTERVAL"),
    ],
)
def test_transform_refuses_output_types_by_name(make_scene: MakeScene, sql: str, column: str, found: str) -> None:
    scene = make_scene("parquet")
    with pytest.raises(StepFailure) as caught:
        run("transform", attempt(scene.home, "transform", transform_params(scene, sql), 1))
    assert caught.value.code == "unsupported_type"
    assert repr(column) in caught.value.message
    assert found in caught.value.message


def test_a_staged_part_that_was_touched_is_refused(make_scene: MakeScene) -> None:
    scene = make_scene("parquet")
    staged = scene.staged()
    part = Path(scene.staging.parquet.root) / staged.directory / staged.parts[1].file
    data = bytearray(part.read_bytes())
    data[100] ^= 1
    part.write_bytes(data)
    with pytest.raises(StepFailure) as caught:
        run("load", attempt(scene.home, "load", scene.load_params(staged), 1))
    assert caught.value.code == "corrupt_staging"
    assert staged.parts[1].file in caught.value.message


def test_parameters_that_leave_the_root_are_refused(make_scene: MakeScene) -> None:
    scene = make_scene("csv")
    for found in ("../secret.csv", "/etc/passwd", "a/../../b.csv", "_haulier/x.csv"):
        params = k.ExtractParams(source=scene.located(), staging=scene.staging)
        params.source.object = found
        with pytest.raises(StepFailure) as caught:
            run("extract", attempt(scene.home, "extract", params, 1))
        assert caught.value.code == "bad_name", found
    bad = attempt(scene.home, "extract", k.ExtractParams(source=scene.located(), staging=scene.staging), 1)
    with pytest.raises(StepFailure) as caught:
        Extract().undo(dataclasses.replace(bad, migration_id="../.."))
    assert caught.value.code == "bad_params"
