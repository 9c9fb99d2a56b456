"""Replacing a table loses nothing that was not waived, and a table of ours comes back with its own names."""

import duckdb
import psycopg
import pytest
from haulier.v1 import kinds_pb2 as k
from sqlite_utils import Database

from agentd.datastores.port.failures import StepFailure
from agentd.executors.load import Load
from tests.contract.executors.attempts import attempt, run
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import DuckdbPlace, FilePlace, PostgresqlPlace, SqlitePlace

# The destination of a team that uses everything, as it is before a replacement is tried.
PARCELS = """
CREATE TABLE things (id bigserial CONSTRAINT parcels_key PRIMARY KEY, depot text NOT NULL);
INSERT INTO things (depot) VALUES ('north'), ('south');
CREATE INDEX parcels_by_depot ON things (depot);
CREATE TABLE scans (parcel_id bigint REFERENCES things (id));
INSERT INTO scans VALUES (1);
CREATE VIEW depot_totals AS SELECT depot, count(*) AS n FROM things GROUP BY depot;
CREATE MATERIALIZED VIEW depot_totals_m AS SELECT * FROM depot_totals;
GRANT SELECT ON things TO PUBLIC;
ALTER TABLE things ENABLE ROW LEVEL SECURITY;
CREATE POLICY north_only ON things USING (depot = 'north');
CREATE PUBLICATION {schema}_pub FOR TABLE things;
COMMENT ON TABLE things IS 'owned by logistics';
"""
NEVER = ["row security enabled", "policy north_only", "publication {schema}_pub"]
WAIVED = {
    "index:parcels_by_depot",
    "default:id",
    "sequence:things_id_seq",
    "referencing_key:{schema}.scans.scans_parcel_id_fkey",
    "view:{schema}.depot_totals",
    "comment:things",
}


def waivers(words: set[str]) -> list[k.Waiver]:
    pairs = [word.partition(":") for word in sorted(words)]
    return [k.Waiver(kind=f"DEFINITION_KIND_{kind.upper()}", name=name) for kind, _, name in pairs]


def everything(place: PostgresqlPlace) -> list[list[object]]:
    """All that can be seen of the destination's relations, rows and names."""
    with place.connect() as connection:
        return [
            list(connection.execute(sql.encode()))
            for sql in (
                "SELECT relname, relkind, relowner, relacl, relrowsecurity FROM pg_class WHERE relnamespace = "
                f"'{place.schema}'::regnamespace AND relname NOT LIKE 'haulier%' ORDER BY 1",
                "TABLE scans",
                "TABLE depot_totals",
                "SELECT id, depot FROM things ORDER BY 1",
                "SELECT conname, conrelid::regclass, confrelid::regclass FROM pg_constraint "
                f"WHERE connamespace = '{place.schema}'::regnamespace AND conname NOT LIKE 'haulier%' ORDER BY 1, 2",
                "SELECT polname FROM pg_policy WHERE polrelid = 'things'::regclass",
                f"SELECT tablename FROM pg_publication_tables WHERE pubname = '{place.schema}_pub'",
                "SELECT obj_description('things'::regclass)",
            )
        ]


def test_what_would_be_lost_is_refused_before_a_byte_moves(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    with place.connect() as connection:
        connection.execute(PARCELS.format(schema=place.schema).encode())
    before = everything(place)
    params = scene.load_params(scene.staged(), replace=True)
    for fence in (1, 2):
        moved: list[int] = []
        ctx = attempt(
            scene.home, "load", params, fence, progress=lambda rows, *_, moved=moved, **__: moved.append(rows)
        )
        with pytest.raises(StepFailure) as caught:
            run("load", ctx)
        assert caught.value.code == "would_lose" and not caught.value.retryable
        assert not any(moved)
        for named in [*NEVER, *(word.replace(":", " ").replace("_key ", " key ") for word in WAIVED)]:
            assert named.format(schema=place.schema) in caught.value.message
        assert everything(place) == before
    # With everything waived, what protects rows is still refused, and named alone.
    params.waive.extend(waivers({word.format(schema=place.schema) for word in WAIVED}))
    params.waive.extend(waivers({"row_security", "policy", "publication"}))
    with pytest.raises(StepFailure) as caught:
        run("load", attempt(scene.home, "load", params, 3))
    assert caught.value.code == "would_lose"
    assert "parcels_by_depot" not in caught.value.message and "policy north_only" in caught.value.message
    assert everything(place) == before


def test_what_was_waived_is_lost_and_recorded_and_comes_back_with_undo(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    with place.connect() as connection:
        for part in PARCELS.format(schema=place.schema).split(";"):
            if not any(word in part for word in ("ROW LEVEL", "POLICY", "PUBLICATION")) and part.strip():
                connection.execute(part.encode())
    with place.connect() as connection:
        names_before = indexes(connection)
    params = scene.load_params(scene.staged(), replace=True)
    words = {word.format(schema=place.schema) for word in WAIVED}
    params.waive.extend(waivers(words - {"comment:things"}))
    with pytest.raises(StepFailure) as caught:
        run("load", attempt(scene.home, "load", params, 1))
    assert "comment things" in caught.value.message and "index" not in caught.value.message
    params.waive.add(kind=k.DEFINITION_KIND_COMMENT)
    result = k.LoadResult.FromString(run("load", attempt(scene.home, "load", params, 2)))
    lost = {f"{k.DefinitionKind.Name(each.kind)[16:].lower()}:{name}" for each in result.waived for name in each.names}
    assert lost == words
    # Who asks again, because the answer was lost, is told the same.
    again = k.LoadResult.FromString(run("load", attempt(scene.home, "load", params, 3)))
    assert again.already_published
    kinds = {each.kind for each in result.waived}
    assert {each.kind for each in again.waived} == kinds
    with place.connect() as connection:
        names = indexes(connection)
        assert names == ["parcels_key"]
    Load().undo(attempt(scene.home, "load", params, 4))
    with place.connect() as connection:
        names = indexes(connection)
    assert names == names_before
    assert everything_left(scene) == []


def indexes(connection: psycopg.Connection[tuple[object, ...]]) -> list[str]:
    found = connection.execute(b"SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'things'::regclass")
    return sorted(str(name) for (name,) in found)


def everything_left(scene: Scene) -> list[object]:
    """Relations of ours but the ledger's."""
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    with place.connect() as connection:
        return list(
            connection.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind IN ('r', 'i') "
                "AND relname LIKE 'haulier%%' AND relname !~ '^haulier_(fence|publication|session)'",
                (place.schema,),
            )
        )


ADDED = [
    "ALTER TABLE things ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY mine ON things USING (true)",
    "CREATE PUBLICATION {schema}_pub FOR TABLE things",
    "GRANT SELECT (day) ON things TO PUBLIC",
    "CREATE INDEX by_day ON things (day)",
    "ALTER TABLE things ADD CONSTRAINT above CHECK (id IS NOT NULL)",
    "ALTER TABLE things ALTER day SET DEFAULT '2024-01-01'",
    "COMMENT ON COLUMN things.day IS 'x'",
    "ALTER TABLE things REPLICA IDENTITY FULL",
    "CREATE VIEW totals AS SELECT count(*) FROM things",
    "CREATE RULE quiet AS ON DELETE TO things DO INSTEAD NOTHING",
    "CREATE TABLE child () INHERITS (things)",
    "ALTER TABLE things SET (fillfactor = 70)",
]


@pytest.mark.parametrize("statement", ADDED, ids=range(len(ADDED)))
def test_what_was_added_to_a_table_of_ours_is_not_lost_either(make_scene: MakeScene, statement: str) -> None:
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    params = scene.load_params(scene.staged(), replace=True)
    run("load", attempt(scene.home, "load", params, 1))
    with place.connect() as connection:
        connection.execute(statement.format(schema=place.schema).encode())
    # By another migration of the same target, and again by the same one.
    for fence, migration in ((2, "mig_2"), (3, "mig_1")):
        with pytest.raises(StepFailure) as caught:
            Load().run(attempt(scene.home, "load", params, fence, migration_id=migration))
        assert caught.value.code == "would_lose", caught.value


def test_what_haulier_published_is_replaced_with_its_names(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    params = scene.load_params(scene.staged())
    sql = "SELECT conname FROM pg_constraint WHERE conrelid = 'things'::regclass ORDER BY 1"
    for fence, migration in enumerate(["mig_1", "mig_1", "mig_2", "mig_3"], 1):
        result = k.LoadResult.FromString(Load().run(attempt(scene.home, "load", params, fence, migration_id=migration)))
        assert not result.waived
        with place.connect() as connection:
            assert list(connection.execute(sql.encode())) == [("things_id_not_null",), ("things_pkey",)]
    Load().undo(attempt(scene.home, "load", params, 9, migration_id="mig_3"))
    with place.connect() as connection:
        assert list(connection.execute(sql.encode())) == [("things_id_not_null",), ("things_pkey",)]


def test_a_table_does_not_lose_its_key_to_one_that_has_none(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    scene.place.put_earlier()
    params = scene.load_params(scene.staged(), replace=True)
    del params.destination.key[:]
    with pytest.raises(StepFailure) as caught:
        run("load", attempt(scene.home, "load", params, 1))
    assert caught.value.code == "would_lose" and "primary key note" in caught.value.message
    params.waive.extend(waivers({"primary_key"}))
    assert k.LoadResult.FromString(run("load", attempt(scene.home, "load", params, 2))).waived


@pytest.mark.parametrize("name", ["t" * 63, "é" * 31, "things"])
def test_a_key_gets_a_name_that_fits_and_is_free(make_scene: MakeScene, name: str) -> None:
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    place.object = name
    with place.connect() as connection:
        connection.execute(b"CREATE TABLE things_pkey (a int)")
    run("load", attempt(scene.home, "load", scene.load_params(scene.staged()), 1))
    sql = "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'"
    with place.connect() as connection:
        ((found,),) = connection.execute(sql.encode(), (f'"{name}"',))
    assert found in (f"{'t' * 58}_pkey", f"{'é' * 29}_pkey", "things_pkey1")


def test_privileges_are_the_old_ones_neither_more_nor_fewer(make_scene: MakeScene) -> None:
    """Default privileges of the schema must not open what was closed on the table."""
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    others = f"{place.schema}_others"
    with place.connect(place.server.admin) as connection:
        connection.execute(f"CREATE ROLE {others}".encode())
    with place.connect() as connection:
        connection.execute(
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA {place.schema} GRANT SELECT ON TABLES TO PUBLIC".encode()
        )
        connection.execute(b"CREATE TABLE things (note text)")
        connection.execute(b"REVOKE SELECT ON things FROM PUBLIC")
        connection.execute(f"GRANT SELECT ON things TO {others} WITH GRANT OPTION".encode())
    staged: list[str] = []

    def look(point: str) -> None:
        if point == "before_publish":
            with place.connect(place.server.admin) as looking:
                sql = "SELECT relacl::text FROM pg_class WHERE relname LIKE 'haulier_staging%' AND relkind = 'r'"
                staged.extend(str(found) for (found,) in looking.execute(sql.encode()))

    params = scene.load_params(scene.staged(), replace=True)
    run("load", attempt(scene.home, "load", params, 1, reach=look))
    # Not even while they are staged may others read the rows.
    assert len(staged) == 1 and "{=r/" not in staged[0] and ",=r/" not in staged[0]
    with place.connect() as connection:
        ((found,),) = connection.execute(b"SELECT relacl::text FROM pg_class WHERE oid = 'things'::regclass")
    assert f"{others}=r*/{place.server.role}" in str(found)
    assert "{=r/" not in str(found) and ",=r/" not in str(found)


def test_the_owner_is_kept_or_named(make_scene: MakeScene) -> None:
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    team = f"{place.schema}_team"
    with place.connect(place.server.admin) as connection:
        for each in (
            f"CREATE ROLE {team}",
            f"GRANT {team} TO {place.server.role}",
            "CREATE TABLE things (note text)",
            f"ALTER TABLE things OWNER TO {team}",
        ):
            connection.execute(each.encode())
    params = scene.load_params(scene.staged(), replace=True)
    with pytest.raises(StepFailure) as caught:
        run("load", attempt(scene.home, "load", params, 1))
    assert f"owner {team}" in caught.value.message
    with place.connect() as connection:
        connection.execute(f"GRANT USAGE, CREATE ON SCHEMA {place.schema} TO {team}".encode())
    run("load", attempt(scene.home, "load", params, 2))
    with place.connect() as connection:
        ((found,),) = connection.execute(b"SELECT relowner::regrole::text FROM pg_class WHERE oid = 'things'::regclass")
    assert found == team


@pytest.mark.parametrize("engine", ["csv", "parquet"])
@pytest.mark.parametrize("leads", ["to a file", "nowhere"])
def test_a_link_to_a_file_is_not_replaced_by_a_file(make_scene: MakeScene, engine: str, leads: str) -> None:
    scene = make_scene(engine)
    place = scene.place
    assert isinstance(place, FilePlace)
    place.put_earlier()
    target = place.path.rename(place.path.with_name("elsewhere"))
    place.path.symlink_to(target)
    if leads == "nowhere":
        target.unlink()
    with pytest.raises(StepFailure) as caught:
        run("load", attempt(scene.home, "load", scene.load_params(scene.staged(), replace=True), 1))
    assert caught.value.code == "cannot_replace"
    assert place.path.is_symlink() and target.exists() == (leads == "to a file")


SQLITE = {
    "CREATE INDEX by_note ON things (note)": "index by_note",
    "CREATE TRIGGER audit AFTER INSERT ON things BEGIN SELECT 1; END": "trigger audit",
}


@pytest.mark.parametrize("statement", SQLITE)
def test_sqlite_refuses_what_would_be_lost(make_scene: MakeScene, statement: str) -> None:
    scene = make_scene("sqlite")
    assert isinstance(scene.place, SqlitePlace)
    database = Database(scene.place.path)
    database.executescript(f"CREATE TABLE things (note); CREATE VIEW notes AS SELECT note FROM things; {statement}")
    database.close()
    params = scene.load_params(scene.staged(), replace=True)
    with pytest.raises(StepFailure) as caught:
        run("load", attempt(scene.home, "load", params, 1))
    assert caught.value.code == "would_lose"
    named = SQLITE[statement]
    assert named in caught.value.message and "notes" not in caught.value.message
    params.waive.extend(waivers({named.replace(" ", ":")}))
    result = k.LoadResult.FromString(run("load", attempt(scene.home, "load", params, 2)))
    assert [list(each.names) for each in result.waived] == [[named.split()[1]]]


@pytest.mark.parametrize(
    "table", ["(note, UNIQUE (note))", "(note CHECK (note <> ''))", "(note DEFAULT 'x')", "(note) STRICT"]
)
def test_sqlite_refuses_what_a_table_declares(make_scene: MakeScene, table: str) -> None:
    scene = make_scene("sqlite")
    assert isinstance(scene.place, SqlitePlace)
    database = Database(scene.place.path)
    database.execute(f"CREATE TABLE things {table.replace('(note) STRICT', '(note TEXT) STRICT')}")
    database.close()
    with pytest.raises(StepFailure) as caught:
        run("load", attempt(scene.home, "load", scene.load_params(scene.staged(), replace=True), 1))
    assert caught.value.code == "would_lose"


DUCKDB = {
    "CREATE TABLE things (note VARCHAR); CREATE INDEX by_note ON things (note)": ("index", False),
    "CREATE TABLE things (note VARCHAR PRIMARY KEY); CREATE TABLE c (n VARCHAR REFERENCES things (note))": (
        "referencing key",
        False,
    ),
    "CREATE TABLE things (note VARCHAR UNIQUE)": ("unique", True),
    "CREATE TABLE things (note VARCHAR CHECK (note <> ''))": ("check", True),
    "CREATE TABLE things (note VARCHAR DEFAULT 'x')": ("default", True),
    "CREATE TABLE things (note VARCHAR); COMMENT ON TABLE things IS 'x'": ("comment", True),
}


@pytest.mark.parametrize("script", DUCKDB)
def test_duckdb_refuses_what_would_be_lost(make_scene: MakeScene, script: str) -> None:
    scene = make_scene("duckdb")
    assert isinstance(scene.place, DuckdbPlace)
    with duckdb.connect(str(scene.place.path)) as connection:
        connection.execute(script)
        connection.execute("CREATE VIEW notes AS SELECT note FROM things")
    kind, may_be_waived = DUCKDB[script]
    params = scene.load_params(scene.staged(), replace=True)
    with pytest.raises(StepFailure) as caught:
        run("load", attempt(scene.home, "load", params, 1))
    assert caught.value.code == "would_lose"
    assert kind in caught.value.message and "notes" not in caught.value.message
    params.waive.extend(waivers({kind.replace(" ", "_")}))
    if may_be_waived:
        assert k.LoadResult.FromString(run("load", attempt(scene.home, "load", params, 2))).waived
    else:
        with pytest.raises(StepFailure) as caught:
            run("load", attempt(scene.home, "load", params, 2))
        assert caught.value.code == "would_lose"
