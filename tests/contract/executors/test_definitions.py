"""What hangs on a table beside its rows is named, kind by kind, for every engine that has it."""

import duckdb
import pytest
from haulier.v1 import kinds_pb2 as k
from sqlite_utils import Database

from agentd.datastores.port.definitions import Definition
from agentd.executors.translate import location, opened
from tests.contract.executors.attempts import attempt
from tests.contract.executors.conftest import MakeScene, Scene
from tests.contract.executors.places import DuckdbPlace, PostgresqlPlace, SqlitePlace

# Statement by statement what a person may have put there, and what is to be named for it.
POSTGRESQL = [
    ("ALTER TABLE things ENABLE ROW LEVEL SECURITY", "row_security", "enabled"),
    ("CREATE POLICY mine ON things USING (amount > 0)", "policy", "mine"),
    ("CREATE PUBLICATION {schema}_pub FOR TABLE things", "publication", "{schema}_pub"),
    ("GRANT SELECT, INSERT ON things TO PUBLIC", "grant", "PUBLIC: INSERT, SELECT"),
    ("GRANT SELECT (amount) ON things TO PUBLIC", "column_grant", "amount"),
    ("ALTER TABLE things ADD PRIMARY KEY (id, word)", "primary_key", "id, word"),
    ("CREATE INDEX by_word ON things (lower(word))", "index", "by_word"),
    ("CREATE UNIQUE INDEX one_word ON things (word) WHERE amount > 1", "index", "one_word"),
    ("ALTER TABLE things ADD CONSTRAINT once UNIQUE (word)", "unique", "once"),
    ("ALTER TABLE things ADD CONSTRAINT above CHECK (amount > 0)", "check", "above"),
    ("ALTER TABLE things ADD CONSTRAINT apart EXCLUDE (amount WITH =)", "exclusion", "apart"),
    ("ALTER TABLE things ALTER word SET NOT NULL", "not_null", "word"),
    ("ALTER TABLE things ALTER word SET DEFAULT 'x'", "default", "word"),
    ("ALTER TABLE things ADD n bigint GENERATED ALWAYS AS IDENTITY", "identity", "n"),
    ("ALTER TABLE things ADD twice bigint GENERATED ALWAYS AS (amount * 2) STORED", "generated", "twice"),
    ("CREATE SEQUENCE counter OWNED BY things.id", "sequence", "counter"),
    ("ALTER TABLE things ADD CONSTRAINT kin FOREIGN KEY (amount) REFERENCES other (id)", "foreign_key", "kin"),
    (
        "ALTER TABLE things ADD UNIQUE (id); "
        "ALTER TABLE other ADD CONSTRAINT child FOREIGN KEY (id) REFERENCES things (id)",
        "referencing_key",
        "{schema}.other.child",
    ),
    (
        "CREATE TRIGGER audit BEFORE UPDATE ON things FOR EACH ROW WHEN (NEW.amount > 1) "
        "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "trigger",
        "audit",
    ),
    ("CREATE RULE quiet AS ON DELETE TO things DO INSTEAD NOTHING", "rule", "quiet"),
    ("CREATE VIEW totals AS SELECT count(*) FROM things", "view", "{schema}.totals"),
    ("CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM things", "view", "{schema}.totals"),
    (
        "CREATE FUNCTION kept() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM things; END",
        "dependent",
        "function {schema}.kept()",
    ),
    ("CREATE TABLE holder (one things)", "dependent", "table {schema}.holder"),
    (
        "CREATE POLICY theirs ON other USING (id IN (SELECT id FROM things))",
        "dependent",
        "policy theirs on table {schema}.other",
    ),
    ("COMMENT ON TABLE things IS 'ours'", "comment", "things"),
    ("COMMENT ON COLUMN things.word IS 'a word'", "comment", "word"),
    ("ALTER TABLE things REPLICA IDENTITY FULL", "replica_identity", "full"),
    ("CREATE TABLE things_2025 () INHERITS (things)", "inheritance", "by {schema}.things_2025"),
    ("ALTER TABLE things INHERIT elder", "inheritance", "of {schema}.elder"),
    ("ALTER TABLE things SET (fillfactor = 70)", "storage", "fillfactor=70"),
    ("ALTER TABLE things SET UNLOGGED", "storage", "unlogged"),
    ("ALTER TABLE things ALTER word SET STORAGE external", "storage", "column word"),
    ("CREATE STATISTICS pairs ON id, amount FROM things", "statistics", "pairs"),
    ('ALTER TABLE things ALTER word TYPE text COLLATE "C"', "collation", "word: C"),
    ("ALTER TABLE things ALTER amount TYPE integer", "type", "amount: integer"),
    ("ALTER TABLE things ALTER word TYPE character varying(20)", "type", "word: character varying(20)"),
]


def found_at(scene: Scene) -> set[Definition]:
    return set(definitions_at(scene, scene.destination()))


def definitions_at(scene: Scene, where: k.DatasetLocation) -> list[Definition]:
    return opened(attempt(scene.home, "extract", k.ExtractParams(), 1), where.datastore).definitions(location(where))


@pytest.mark.parametrize(
    ("statement", "kind", "name"), POSTGRESQL, ids=[f"{c[1]}-{i}" for i, c in enumerate(POSTGRESQL)]
)
def test_postgresql_names_what_hangs_on_a_table(make_scene: MakeScene, statement: str, kind: str, name: str) -> None:
    scene = make_scene("postgresql")
    place = scene.place
    assert isinstance(place, PostgresqlPlace)
    with place.connect() as connection:
        connection.execute(b"CREATE TABLE elder (word text)")
        connection.execute(b"CREATE TABLE other (id bigint PRIMARY KEY)")
        connection.execute(b"CREATE TABLE things (id bigint, word text, amount bigint)")
        assert found_at(scene) == set()
        connection.execute(statement.format(schema=place.schema).encode())
    found = {(each.kind, each.name) for each in found_at(scene)}
    assert (kind, name.format(schema=place.schema)) in found
    # What comes with it by itself, and nothing else.
    with_it = {
        "inheritance": set(),
        "primary_key": {"not_null"},
        "identity": {"not_null"},
        "referencing_key": {"unique"},
    }
    assert {each for each, _ in found} - {kind} <= with_it.get(kind, set())


SQLITE = [
    (
        "CREATE TABLE things (id INTEGER PRIMARY KEY AUTOINCREMENT, word)",
        {"identity id", "primary_key id", "not_null id"},
    ),
    ("CREATE TABLE things (id INTEGER, word TEXT, PRIMARY KEY (word, id)) STRICT, WITHOUT ROWID", None),
    ("CREATE TABLE things (id, word); CREATE INDEX by_word ON things (lower(word))", {"index by_word"}),
    ("CREATE TABLE things (id, word, UNIQUE (word, id))", {"unique word, id"}),
    (
        "CREATE TABLE things (id CHECK (id > 0), word CONSTRAINT short CHECK (length(word) < 9), CHECK (1))",
        {"check check", "check id", "check short"},
    ),
    ("CREATE TABLE things (id, word DEFAULT 'check (x)' /* CHECK (y) */)", {"default word"}),
    ("CREATE TABLE things (id, word, twice AS (id * 2) STORED)", {"generated twice"}),
    ("CREATE TABLE things (id REFERENCES other (id), word)", {"foreign_key id → other"}),
    (
        "CREATE TABLE things (id UNIQUE, word); CREATE TABLE child (of REFERENCES things (id))",
        {"unique id", "referencing_key child: of"},
    ),
    (
        "CREATE TABLE things (id, word); CREATE TRIGGER audit AFTER INSERT ON things BEGIN SELECT 1; END",
        {"trigger audit"},
    ),
    ("CREATE TABLE things (id, word); CREATE VIEW totals AS SELECT count(*) FROM [Things]", {"view totals"}),
    ("CREATE TABLE things (id, word); CREATE VIEW other_one AS SELECT 'things' -- things\n", set()),
    ("CREATE TABLE things (id, word TEXT COLLATE NOCASE)", {"collation word: NOCASE"}),
    ("CREATE TABLE things (id, word VARCHAR(20) NOT NULL)", {"type word: VARCHAR(20)", "not_null word"}),
]
DUCKDB = [
    ("CREATE TABLE things (id BIGINT PRIMARY KEY, word VARCHAR)", {"primary_key id", "not_null id"}),
    ("CREATE TABLE things (id BIGINT, word VARCHAR); CREATE INDEX by_word ON things (word)", {"index by_word"}),
    ("CREATE TABLE things (id BIGINT, word VARCHAR UNIQUE)", {"unique word"}),
    ("CREATE TABLE things (id BIGINT CHECK (id > 0), word VARCHAR, CHECK (id < 9))", {"check id", "check id (2)"}),
    ("CREATE TABLE things (id BIGINT, word VARCHAR DEFAULT 'check (x)')", {"default word"}),
    ("CREATE TABLE things (id BIGINT, word VARCHAR, twice BIGINT AS (id * 2))", {"generated twice"}),
    (
        "CREATE TABLE other (id BIGINT PRIMARY KEY); "
        "CREATE TABLE things (id BIGINT REFERENCES other (id), word VARCHAR)",
        {"foreign_key id → other"},
    ),
    (
        "CREATE TABLE things (id BIGINT UNIQUE, word VARCHAR); CREATE TABLE child (o BIGINT REFERENCES things (id))",
        {"unique id", "referencing_key child: o"},
    ),
    (
        "CREATE TABLE things (id BIGINT, word VARCHAR); CREATE VIEW totals AS SELECT count(*) FROM things",
        {"view totals"},
    ),
    (
        "CREATE TABLE things (id BIGINT, word VARCHAR); COMMENT ON TABLE things IS 'a'; "
        "COMMENT ON COLUMN things.word IS 'b'",
        {"comment things", "comment word"},
    ),
    (
        "CREATE TABLE things (id INTEGER, word VARCHAR COLLATE NOCASE NOT NULL)",
        {"type id: INTEGER", "collation word: nocase", "not_null word"},
    ),
]


@pytest.mark.parametrize(("script", "wanted"), SQLITE, ids=range(len(SQLITE)))
def test_sqlite_names_what_hangs_on_a_table(make_scene: MakeScene, script: str, wanted: set[str] | None) -> None:
    scene = make_scene("sqlite")
    assert isinstance(scene.place, SqlitePlace)
    Database(scene.place.path).executescript(script)
    where = scene.destination()
    where.columns.extend(
        [k.Column(name="id", type=k.COLUMN_TYPE_INT64), k.Column(name="word", type=k.COLUMN_TYPE_TEXT)]
    )
    found = {f"{each.kind} {each.name}" for each in definitions_at(scene, where)}
    if wanted is None:
        wanted = {"primary_key word, id", "not_null id", "not_null word", "storage STRICT", "storage WITHOUT ROWID"}
    assert found == wanted


@pytest.mark.parametrize(("script", "wanted"), DUCKDB, ids=range(len(DUCKDB)))
def test_duckdb_names_what_hangs_on_a_table(make_scene: MakeScene, script: str, wanted: set[str]) -> None:
    scene = make_scene("duckdb")
    assert isinstance(scene.place, DuckdbPlace)
    with duckdb.connect(str(scene.place.path)) as connection:
        connection.execute(script)
    assert {f"{each.kind} {each.name}" for each in found_at(scene)} == wanted
