"""`validate` over every datastore: proves what holds, and names what does not."""

import dataclasses
import json

import pytest
from haulier.v1 import kinds_pb2 as k

from agentd.datastores.port.failures import StepFailure
from agentd.executors.extract import Extract
from agentd.executors.load import Load
from agentd.executors.transform import Transform
from agentd.executors.validate import Validate
from agentd.proof.types import Column, Columns, ColumnType
from tests.contract.executors.attempts import attempt
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import ENGINES, make_place
from tests.kit import torture

# Found wherever it gets out.
CANARY = "Zanzibar 4711"

pytestmark = [pytest.mark.parametrize("engine", ENGINES)]


@dataclasses.dataclass
class Moved:
    """A migration from a CSV source to the place, up to its load; `params` proves it."""

    scene: Scene
    params: k.ValidateParams

    def failed(self) -> k.ValidateResult:
        return k.ValidateResult.FromString(self.failure().result)

    def failure(self) -> StepFailure:
        with pytest.raises(StepFailure) as caught:
            Validate().run(attempt(self.scene.home, "validate", self.params, 5))
        assert caught.value.code == "verification_failed"
        return caught.value


def moved(make_scene: MakeScene, engine: str, sql: str = "", key: tuple[str, ...] = ("id",)) -> Moved:
    scene = make_scene(engine)
    origin = make_place("csv", scene.home / "origin", None, "origin")
    into = dataclasses.replace(scene, place=origin)
    Load().run(attempt(scene.home, "load", into.load_params(scene.staged()), 1, target="ds_origin"))
    source = into.located()
    extract = k.ExtractParams(source=source, staging=scene.staging)
    extracted = k.ExtractResult.FromString(Extract().run(attempt(scene.home, "extract", extract, 1))).output
    loaded = extracted
    if sql:
        transform = k.TransformParams(input=extracted, sql=sql)
        loaded = k.TransformResult.FromString(Transform().run(attempt(scene.home, "transform", transform, 1))).output
    destination = scene.destination(key)
    load = k.LoadParams(input=loaded, destination=destination)
    result = k.LoadResult.FromString(Load().run(attempt(scene.home, "load", load, 3)))
    return Moved(
        scene,
        k.ValidateParams(
            source=source,
            extracted=extracted,
            loaded=loaded,
            transform_sql=sql,
            destination=destination,
            published_fence=result.published_fence,
        ),
    )


def verdict(result: k.ValidateResult, name: str) -> k.Check:
    return next(check for check in result.checks if check.name == name)


def verdicts(result: k.ValidateResult) -> dict[str, bool]:
    return {check.name: check.passed for check in result.checks}


def test_what_holds_is_proven(make_scene: MakeScene, engine: str) -> None:
    found = moved(make_scene, engine)
    result = k.ValidateResult.FromString(Validate().run(attempt(found.scene.home, "validate", found.params, 5)))
    made = ["source rows", "source unchanged", "loaded is what was extracted", "rows", "destination digest"]
    assert verdicts(result) == dict.fromkeys([*made, "published fence"], True)
    assert result.rows == 240
    assert result.source_digest == result.destination_digest == found.params.extracted.digest
    assert not result.differences


def test_a_transform_is_run_again(make_scene: MakeScene, engine: str) -> None:
    sql = 'SELECT id, lower("Mixed Name") AS name, amount, day FROM input WHERE id > 1100'
    found = moved(make_scene, engine, sql)
    result = k.ValidateResult.FromString(Validate().run(attempt(found.scene.home, "validate", found.params, 5)))
    assert verdicts(result)["transform repeated"] is True
    assert 0 < result.rows < 240
    found.params.transform_sql = sql.replace("lower", "upper")
    failed = found.failed()
    assert verdicts(failed)["transform repeated"] is False
    assert verdicts(failed)["destination digest"] is True


def test_one_altered_value_is_found_and_named(make_scene: MakeScene, engine: str) -> None:
    found = moved(make_scene, engine)
    found.scene.place.alter("Mixed Name", "altered", "id", 1100)
    result = found.failed()
    assert verdicts(result)["destination digest"] is False
    assert verdicts(result)["rows"] is True
    (difference,) = result.differences
    assert result.differences_count == 1
    assert (difference.kind, json.loads(difference.key_json)) == ("changed", {"id": "1100"})
    (changed,) = difference.changed
    assert (changed.column, changed.found_shape) == ("Mixed Name", "a value of the shape aaaaaaa")
    assert not difference.columns_json


def test_values_leave_only_where_the_dataset_says_so(make_scene: MakeScene, engine: str) -> None:
    """Promise A5: whatever fails, nothing that leaves the host holds a value of a row but its key."""
    found = moved(make_scene, engine)
    found.scene.place.alter("Mixed Name", CANARY, "id", 1100)
    table = view(found.scene)
    asking = f'SELECT "Mixed Name" FROM {table} WHERE id = 1100'
    found.params.test_queries.add(name="who", sql=asking, expected_rows_json=['["x"]'])
    text = "TEXT" if engine in ("sqlite", "postgresql") else "VARCHAR"
    casting = f'SELECT CAST(CAST("Mixed Name" AS {text}) AS INTEGER) FROM {table}'
    found.params.test_queries.add(name="cast", sql=casting, expected_rows_json=["[1]"])
    failure = found.failure()
    result = k.ValidateResult.FromString(failure.result)
    assert CANARY not in f"{result} {failure}"
    assert result.values_apart
    assert "value of the shape" in verdict(result, "who").found

    found.params.show_values = True
    failure = found.failure()
    result = k.ValidateResult.FromString(failure.result)
    expected = torture.batch(unordered=False).column("Mixed Name")[100].as_py()
    (difference,) = result.differences
    assert json.loads(difference.columns_json) == {"Mixed Name": [expected, CANARY]}
    assert [json.loads(row) for row in verdict(result, "who").found_rows_json] == [[CANARY]]
    # Fields of their own, which the control plane can withhold and let go; nothing else ever holds a value.
    for each in result.differences:
        each.ClearField("columns_json")
    for check in result.checks:
        check.ClearField("found_rows_json")
    assert CANARY not in f"{result} {failure}"


def test_without_a_key_rows_are_named_by_their_digest(make_scene: MakeScene, engine: str) -> None:
    found = moved(make_scene, engine, key=())
    found.scene.place.alter("Mixed Name", "altered", "id", 1100)
    result = found.failed()
    assert result.differences_count == 2
    assert sorted(d.kind for d in result.differences) == ["missing", "unexpected"]
    assert {(len(d.row_digest), d.key_json) for d in result.differences} == {(16, "")}
    found.params.show_values = True
    result = found.failed()
    rows = {d.kind: json.loads(d.key_json) for d in result.differences}
    assert rows["missing"]["id"] == rows["unexpected"]["id"] == "1100"
    assert rows["unexpected"]["Mixed Name"] == "altered"


def test_a_source_that_changed_since_fails(make_scene: MakeScene, engine: str) -> None:
    found = moved(make_scene, engine)
    origin = make_place("csv", found.scene.home / "origin", None, "origin")
    origin.alter("Mixed Name", "altered", "id", 1100)
    result = found.failed()
    assert verdicts(result)["source unchanged"] is False
    assert verdicts(result)["destination digest"] is True
    (difference,) = result.differences
    assert json.loads(difference.key_json) == {"id": "1100"}


def test_another_fence_at_the_destination_fails(make_scene: MakeScene, engine: str) -> None:
    found = moved(make_scene, engine)
    found.params.published_fence = 99
    assert verdicts(found.failed()) == {
        **dict.fromkeys(["source rows", "source unchanged", "loaded is what was extracted", "rows"], True),
        "destination digest": True,
        "published fence": False,
    }


def test_a_destination_that_is_gone_fails(make_scene: MakeScene, engine: str) -> None:
    found = moved(make_scene, engine)
    found.params.destination.object = "gone.csv"
    found.params.published_fence = 0
    assert verdicts(found.failed())["destination readable"] is False


def view(scene: Scene) -> str:
    """How test queries name the dataset: files have only the view."""
    return "dataset" if scene.place.engine in ("csv", "parquet") else "things"


def test_questions_are_answered(make_scene: MakeScene, engine: str) -> None:
    found = moved(make_scene, engine)
    table = view(found.scene)
    flags = [torture.batch().column("flag")[i].as_py() for i in (101, 100)]
    texts = [str(int(f)) if engine == "sqlite" else str(f).lower() for f in flags]
    ordered = [json.dumps(["1101", texts[0]]), json.dumps(["1100", texts[1]])]
    for name, sql, rows in (
        ("count", f"SELECT count(*) FROM {table}", ["[240]"]),
        ("ordered", f"SELECT id, flag FROM {table} WHERE id BETWEEN 1100 AND 1101 ORDER BY id DESC;", ordered),
        ("null", f"SELECT NULL, max(id) FROM {table} -- what is the highest?", ["[null, 9223372036854775807]"]),
        ("none", f"SELECT id FROM {table} WHERE id = -77", []),
        ("with", f"WITH t AS (SELECT 1.50 AS x) SELECT x FROM t WHERE EXISTS (SELECT 1 FROM {table})", ['["1.5"]']),
    ):
        found.params.test_queries.add(name=name, sql=sql, expected_rows_json=rows)
    result = k.ValidateResult.FromString(Validate().run(attempt(found.scene.home, "validate", found.params, 5)))
    assert [c.passed for c in result.checks[-5:]] == [True] * 5


def test_a_wrong_answer_fails(make_scene: MakeScene, engine: str) -> None:
    found = moved(make_scene, engine)
    found.params.test_queries.add(
        name="how many", sql=f"SELECT count(*) FROM {view(found.scene)}", expected_rows_json=["[241]"]
    )
    result = found.failed()
    (check,) = [c for c in result.checks if not c.passed]
    assert (check.name, check.expected, check.found) == (
        "how many",
        "1 row: (241)",
        "1 row: (a value of the shape 999)",
    )


HOSTILE = {
    "duckdb": [
        "SELECT * FROM read_text('/etc/passwd')",
        "ATTACH '/tmp/x.duckdb'",
        "SET enable_external_access = true",
        "SELECT 1; DROP TABLE {table}",
        "DELETE FROM {table}",
    ],
    "sqlite": [
        "ATTACH '/tmp/x.db' AS other",
        "DELETE FROM {table}",
        "DROP TABLE {table}",
        "SELECT 1; DROP TABLE {table}",
        "PRAGMA writable_schema = 1",
        "SELECT load_extension('/tmp/x.so')",
        "SELECT * FROM pragma_database_list",
        "VACUUM INTO '/tmp/stolen.db'",
    ],
    "postgresql": [
        "COPY {table} TO PROGRAM 'cat'",
        "COPY {table} TO '/tmp/stolen.csv'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT 1; DROP TABLE {table}",
        "DELETE FROM {table}",
        "DO $$ BEGIN PERFORM 1; END $$",
        "SELECT 1) AS asked; DROP TABLE {table}; SELECT (1",
        "SELECT lo_import('/etc/passwd')",
        "WITH gone AS (DELETE FROM {table} RETURNING *) SELECT * FROM gone",
        "SET TRANSACTION READ WRITE",
        "SELECT nextval('s')",
    ],
}


def test_hostile_questions_are_refused(make_scene: MakeScene, engine: str) -> None:
    found = moved(make_scene, engine)
    table = view(found.scene)
    before = found.scene.place.seen()
    for sql in HOSTILE.get(engine, HOSTILE["duckdb"]):
        found.params.test_queries.add(name=sql, sql=sql.format(table=table), expected_rows_json=["[0]"])
    result = found.failed()
    asked = result.checks[-len(found.params.test_queries) :]
    assert [c.name for c in asked if c.passed or not c.found.startswith("refused: ")] == []
    assert found.scene.place.seen() == before
    del found.params.test_queries[:]
    Validate().run(attempt(found.scene.home, "validate", found.params, 5))


def test_a_duplicated_row_fails(make_scene: MakeScene, engine: str) -> None:
    """Sums of digests, unlike xor, see a row that is there twice."""
    scene = make_scene(engine)
    column: Columns = (Column("word", ColumnType.TEXT),)
    words = scene.staged([torture.batch().select([5]).slice(0, 5).rename_columns(["word"])], column)
    twice = scene.staged([torture.batch().select([5]).slice(0, 5).rename_columns(["word"])] * 2, column)
    Load().run(attempt(scene.home, "load", k.LoadParams(input=twice, destination=scene.destination(())), 1))
    params = k.ValidateParams(
        source=scene.located(column),
        extracted=twice,
        loaded=words,
        destination=scene.destination(()),
    )
    with pytest.raises(StepFailure) as caught:
        Validate().run(attempt(scene.home, "validate", params, 2))
    result = k.ValidateResult.FromString(caught.value.result)
    assert verdicts(result)["destination digest"] is False
    assert {d.kind for d in result.differences} == {"unexpected"}
    assert result.differences_count == 5


def test_each_step_says_what_it_does_and_no_value(make_scene: MakeScene, engine: str) -> None:
    found = moved(make_scene, engine)
    home, said = found.scene.home, list[str]()
    extract = k.ExtractParams(source=found.params.source, staging=found.scene.staging)
    Extract().run(attempt(home, "extract", extract, 1, say=said.append))
    load = k.LoadParams(input=found.params.loaded, destination=found.params.destination)
    Load().probe(attempt(home, "load", load, 4, say=said.append))
    found.params.published_fence = 0
    Validate().run(attempt(home, "validate", found.params, 5, say=said.append))
    found.scene.place.alter("Mixed Name", CANARY, "id", 1100)
    with pytest.raises(StepFailure):
        Validate().run(attempt(home, "validate", found.params, 6, say=said.append))
    text = "\n".join(said)
    assert "read 240 rows from files:origin.csv into" in text and "into 1 part" in text
    assert "an earlier attempt had published these 240 rows" in text
    assert "ok      destination digest" in text and "FAILED  destination digest" in text
    assert CANARY not in text
