"""SQL that is one harmless SELECT passes; obvious escapes are refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.manifests.sql.guard import SqlRefused, Statement, check_select, single_statement
from controlplane.manifests.sql.tokens import Token, TokenKind, UnreadableSql, tokens_of


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM input",
        "select a as b, cast(c as decimal(10,2)) from input where a > 1",
        "select a from input where d is distinct from 'x' and e is not distinct from 'y';",
        "FROM input SELECT a",
        "WITH x AS (SELECT * FROM input), y AS MATERIALIZED (SELECT * FROM x) SELECT * FROM y;",
        "(SELECT 1 FROM input) UNION ALL (SELECT 2 FROM input)",
        "-- COPY x TO 'y'\nSELECT '; DROP TABLE x' AS copy, load, \"set\" /* ATTACH */ FROM input ;",
        "SELECT coalesce(load, update, 0), (load), (copy) + 1, (set is null) FROM input",
        "SELECT extract(year FROM time_hour), substring(a FROM 2), trim(both ' ' FROM b) FROM input",
        "SELECT md5(name) AS name, $$it's$$ AS x, $t$a;b$t$ AS y, E'it\\'s' AS z FROM input",
        "SELECT * FROM (VALUES ('a', 'b'), ('c', 'd')) AS t(x, y), input",
        "SELECT * FROM input JOIN (SELECT 1 AS a) AS o ON input.a = o.a AND 'x' = 'x', unnest(['a']) AS u(v)",
        "SELECT u & 1, u&1, a IN ('x', 'y'), b BETWEEN 1 AND 2 FROM input",
        "SELECT a, row_number() OVER (PARTITION BY b ORDER BY c) FROM input ORDER BY a LIMIT 5",
        'SELECT 1e5, .5, 0x1F, a::text, a->>\'b\', a[1], "input".a FROM "input"',
        "SELECT url_encode(a), json_extract(b, '$.c'), now AS at FROM input",
        "SELECT é, ünïcode FROM input",
    ],
)
def test_a_select_passes(sql: str) -> None:
    check_select(sql, Statement.TRANSFORM)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "no statement"),
        (" -- only a comment", "no statement"),
        (";", "no statement"),
        ("COPY input TO '/tmp/x'", "COPY reads and writes files"),
        ("COPY (SELECT 1) TO PROGRAM 'sh'", "COPY reads and writes files"),
        ("copy/**/input from '/etc/passwd'", "COPY reads and writes files"),
        ("ATTACH '/tmp/x.db' AS x", "ATTACH opens other databases"),
        ("INSTALL httpfs", "INSTALL fetches extensions"),
        ("LOAD httpfs", "LOAD runs extensions"),
        ("PRAGMA database_list", "PRAGMA changes settings"),
        ("SET enable_external_access=true", "SET changes settings"),
        ("EXPORT DATABASE 'x'", "EXPORT writes files"),
        ("DROP TABLE input", "does not begin a SELECT"),
        ("INSERT INTO input VALUES (1)", "does not begin a SELECT"),
        ("CALL pragma_version()", "does not begin a SELECT"),
        ("EXPLAIN ANALYZE DELETE FROM input", "does not begin a SELECT"),
        ("DO $$ BEGIN END $$", "does not begin a SELECT"),
        ("'x'", "does not begin a SELECT"),
        ("SELECT 1 FROM input; SELECT 2", "more than one statement"),
        ("SELECT 1 FROM input; -- x\n COPY y TO 'z'", "more than one statement"),
        ("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x, input", "does not begin a SELECT"),
        ("WITH x AS MATERIALIZED (INSERT INTO t SELECT 1 RETURNING *) SELECT * FROM x, input", "does not begin"),
        ("SELECT * INTO other FROM input", "INTO writes a table"),
        ("SELECT * FROM input FOR UPDATE", "locks rows"),
        ("SELECT * FROM read_csv('/etc/passwd'), input", "read_csv() reads files"),
        ("SELECT * FROM READ_PARQUET ('x'), input", "read_parquet() reads files"),
        ("SELECT * FROM \"read_text\"('x'), input", "read_text() reads files"),
        ("SELECT * FROM main.read_json_auto('x'), input", "read_json_auto() reads files"),
        ("SELECT * FROM parquet_scan('x'), input", "parquet_scan() reads files"),
        ("SELECT * FROM glob('/*'), input", "glob() reads files"),
        ("SELECT pg_read_file('/etc/passwd') FROM input", "pg_read_file() reads files"),
        ("SELECT lo_import('/etc/passwd') FROM input", "lo_import() reads files"),
        ("SELECT lo_export(1, 'x') FROM input", "lo_export() reads files"),
        ("SELECT getenv('HOME') FROM input", "getenv() reads files or secrets"),
        ("SELECT * FROM duckdb_secrets(), input", "duckdb_secrets() reads files or secrets"),
        ("SELECT load_extension('x') FROM input", "load_extension() reads files"),
        ("SELECT * FROM dblink('host=x', 'y'), input", "dblink() runs statements"),
        ("SELECT * FROM postgres_query('x', 'y'), input", "postgres_query() runs statements"),
        ("SELECT * FROM query('COPY x'), input", "query() runs statements"),
        ("SELECT query_to_xml('x', true, true, '') FROM input", "query_to_xml() runs statements"),
        ("SELECT set_config('role', 'x', false) FROM input", "set_config() does more"),
        ("SELECT pg_sleep(1000) FROM input", "pg_sleep() does more"),
        ("SELECT pg_terminate_backend(1) FROM input", "pg_terminate_backend() does more"),
        ("SELECT nextval('s') FROM input", "nextval() does more"),
        ("SELECT * FROM '/etc/passwd', input", "a file is read by its name"),
        ("SELECT * FROM input, '/etc/passwd'", "a file is read by its name"),
        ("SELECT * FROM input JOIN b ON true, 'x.csv'", "a file is read by its name"),
        ("SELECT * FROM ('x.csv'), input", "a file is read by its name"),
        ("FROM 'x.parquet', input", "a file is read by its name"),
        ("SELECT * FROM input WHERE a IN (FROM 'x.csv')", "a file is read by its name"),
        ("SELECT (SELECT content FROM 'x.txt') FROM input", "a file is read by its name"),
        ('SELECT * FROM "/tmp/x.parquet", input', "a file is read by its name"),
        ("SELECT * FROM x.parquet, input", "a file is read by its name"),
        ("SELECT * FROM 's3://b/x', input", "a file is read by its name"),
        ("SELECT U&\"pg\\005fread_file\"('x') FROM input", "U& escapes"),
        ("SELECT 1 FROM input) UNION (SELECT 2 FROM input", "never opened"),
        ("SELECT (1 FROM input", "never closed"),
        ("SELECT 'x FROM input", "never ends"),
        ('SELECT "x FROM input', "never ends"),
        ("SELECT $a$x$b$ FROM input", "never ends"),
        ("SELECT 1 /* FROM input", "never ends"),
        ("SELECT 1 /* /* */ FROM input", "a comment inside a comment"),
        ("SELECT 1 FROM other", "never reads `input`"),
        ("SELECT 'input'", "never reads `input`"),
        ("SELECT random() FROM input", "another answer each time"),
        ("SELECT gen_random_uuid(), a FROM input", "another answer each time"),
        ("SELECT current_timestamp, a FROM input", "another answer each time"),
        ("SELECT now() FROM input", "another answer each time"),
        ("SELECT * FROM input USING SAMPLE 10%", "another answer each time"),
        ("SELECT * FROM input TABLESAMPLE 10%", "another answer each time"),
        ("SELECT * FROM input LIMIT 10", "LIMIT without ORDER BY"),
        ("SELECT " + "(" * 300 + "1" + ")" * 300 + " FROM input", "nested deeper"),
        ("SELECT '" + "x" * 100_000 + "' FROM input", "more than 100,000 characters"),
    ],
)
def test_an_escape_is_refused_by_name(sql: str, message: str) -> None:
    with pytest.raises(SqlRefused) as caught:
        check_select(sql, Statement.TRANSFORM)
    assert message in str(caught.value)
    assert caught.value.hint


def test_a_refusal_names_its_line() -> None:
    with pytest.raises(SqlRefused) as caught:
        check_select("SELECT 'a\nb',\n  read_csv('x')\nFROM input", Statement.TRANSFORM)
    assert caught.value.line == 3


def test_a_test_query_asks_the_destination_and_the_time() -> None:
    check_select("SELECT count(*), now() > max(at) FROM flights LIMIT 1", Statement.TEST_QUERY)
    with pytest.raises(SqlRefused, match="reads files"):
        check_select("SELECT count(*) FROM read_csv('x')", Statement.TEST_QUERY)


def test_only_the_closing_semicolon_is_cut_off() -> None:
    assert single_statement("SELECT ';' -- ;\n ; ; -- end") == "SELECT ';' -- ;"
    assert single_statement("SELECT 1 -- end") == "SELECT 1 -- end"


def test_a_closing_comment_stays_closed() -> None:
    assert single_statement("SELECT 1 /* ; */;") == "SELECT 1 /* ; */"


def test_tokens_carry_kind_text_and_line() -> None:
    tokens = list(tokens_of("SELECT \"A\"\"b\",\n'it''s' -- c"))
    assert tokens == [
        Token(TokenKind.WORD, "select", 1, 0),
        Token(TokenKind.QUOTED, 'A"b', 1, 7),
        Token(TokenKind.MARK, ",", 1, 13),
        Token(TokenKind.STRING, "it's", 2, 15),
    ]


_MARKS = [
    "(",
    ")",
    ",",
    ";",
    "' '",
    "''",
    '"',
    "$$",
    "$a$",
    "--",
    "/*",
    "*/",
    "\n",
    "E'",
    "\\'",
    'U&"',
    ".",
    "*",
    "'x'",
]
_WORDS = ["SELECT", "FROM", "input", "read_csv", "WITH", "AS", "copy", "1", ".5", "é", "JOIN", "ON", "distinct", "is"]
_PIECES = st.sampled_from(_MARKS) | st.sampled_from(_WORDS)


@given(st.lists(_PIECES, max_size=25).map(" ".join), st.sampled_from(Statement))
def test_any_text_is_passed_or_refused(sql: str, statement: Statement) -> None:
    try:
        check_select(sql, statement)
    except SqlRefused as error:
        assert 1 <= error.line <= sql.count("\n") + 1
    else:
        check_select(single_statement(sql), statement)


@given(st.text(max_size=80))
def test_tokens_never_lose_their_place(sql: str) -> None:
    try:
        tokens = list(tokens_of(sql))
    except UnreadableSql:
        return
    assert [token.start for token in tokens] == sorted({token.start for token in tokens})
