"""Refuses SQL that is not one harmless SELECT, early and with a clear reason.

This is the first check, not the sandbox: agents run SQL in an engine that is locked in (no files, no
network, read-only, time-limited). A statement that slips through here is refused there.
"""

from __future__ import annotations

import enum
import re

from controlplane.manifests.sql.tokens import Token, TokenKind, UnreadableSql, tokens_of
from controlplane.manifests.text.findings import shown


class Statement(enum.Enum):
    """What a statement is for: a transform runs twice over `input`; a test query runs once at the destination."""

    TRANSFORM = "transform"
    TEST_QUERY = "test query"


class SqlRefused(ValueError):
    """SQL that will not be run. ``line`` counts from 1 inside the SQL; ``hint`` says how to mend it."""

    def __init__(self, message: str, line: int, hint: str = "") -> None:
        super().__init__(message)
        self.line = line
        self.hint = hint


SQL_LENGTH_MAX = 100_000
_NESTING_MAX = 200

_HEADS = frozenset({"select", "with", "from", "values", "("})
# Refused where a statement may begin: at the start, in a common table expression, in a FROM list.
_OTHER_STATEMENTS = re.compile(
    r"alter|analyze|attach|begin|call|checkpoint|cluster|comment|commit|copy|create|deallocate|declare|delete|describe"
    r"|detach|discard|do|drop|end|execute|explain|export|fetch|force|grant|import|insert|install|listen|load|lock"
    r"|merge|move|notify|pivot|pragma|prepare|reassign|refresh|reindex|release|replace|reset|revoke|rollback|savepoint"
    r"|security|set|show|start|summarize|truncate|unlisten|unpivot|update|use|vacuum"
)
_REASONS = {
    "copy": "COPY reads and writes files",
    "attach": "ATTACH opens other databases",
    "detach": "DETACH closes databases",
    "install": "INSTALL fetches extensions",
    "load": "LOAD runs extensions",
    "export": "EXPORT writes files",
    "import": "IMPORT reads files",
    "pragma": "PRAGMA changes settings",
    "set": "SET changes settings",
    "reset": "RESET changes settings",
}
_FILE_FUNCTIONS = re.compile(
    r"read_\w+|parquet_(?:scan|metadata|schema|file_metadata|kv_metadata|bloom_probe)|scan_\w+|\w+_scan|glob|sniff_csv"
    r"|arrow_scan_dumb|st_read\w*|pg_read_\w+|pg_ls_\w+|pg_stat_file|lo_\w+|readfile|writefile|edit|load_extension"
    r"|pg_file_\w+|adminpack\w*|getenv|duckdb_secrets|which_secret|fsdir|zipfile|http_\w+|shellfs\w*"
)
_REACHING_FUNCTIONS = re.compile(
    r"dblink\w*|postgres_\w+|mysql_\w+|sqlite_attach|query|query_table|query_to_xml\w*|table_to_xml\w*|cursor_to_xml\w*"
    r"|schema_to_xml\w*|database_to_xml\w*|xml_?parse_file|pragma_\w+|force_checkpoint|checkpoint|json_execute_serialized_sql"
    r"|json_serialize_plan|eval|fts3_tokenizer"
)
_CHANGING_FUNCTIONS = re.compile(
    r"set_config|setval|nextval|pg_sleep\w*|pg_terminate_backend|pg_cancel_backend|pg_reload_conf|pg_rotate_logfile"
    r"|pg_advisory_\w+|pg_try_advisory_\w+|pg_notify|pg_switch_wal|pg_promote|pg_create_\w+|pg_drop_\w+|pg_logical_\w+"
    r"|pg_replication_\w+|pg_export_snapshot|pg_import_\w+|pg_backup_\w+|pg_wal_\w+|pg_execute_\w+|txid_current|setseed"
    r"|pg_start_\w+|pg_stop_\w+|current_setting|pg_log_\w+"
)
_UNSTABLE_FUNCTIONS = re.compile(
    r"random|rand|uuid|uuidv[147]|gen_random_uuid|now|get_current_time\w*|get_current_timestamp|today|current_date"
    r"|current_localtime\w*|current_query_id|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday"
    r"|current_connection_id|current_transaction_id"
)
_UNSTABLE_WORDS = frozenset(
    {"current_timestamp", "current_time", "current_date", "localtimestamp", "localtime", "tablesample"}
)
# ON and USING do not end a FROM list: another table may follow their comma.
_LEAVES_FROM = re.compile(
    r"select|values|where|group|order|having|limit|offset|window|union|intersect|except|qualify|returning|fetch|sample"
)
_FILE_NAME = re.compile(
    r"[/\\*?]|://|\.(?:csv|tsv|txt|parquet|json|jsonl|ndjson|arrow|feather|db|duckdb|sqlite3?|xlsx|gz|zst)$",
    re.IGNORECASE,
)
_EXTENSIONS = frozenset({"csv", "tsv", "parquet", "json", "jsonl", "ndjson", "arrow", "xlsx"})


def check_select(sql: str, statement: Statement) -> None:
    """Check that a text is one SELECT without an obvious escape. Raises SqlRefused."""
    tokens = _read(sql)
    _check_head(tokens)
    _Walk(tokens, statement).check()
    if statement is Statement.TRANSFORM:
        _check_transform(tokens)


def _check_transform(tokens: list[Token]) -> None:
    words = {token.text for token in tokens if token.kind is TokenKind.WORD}
    if "input" not in words and not any(
        token.text.lower() == "input" for token in tokens if token.kind is TokenKind.QUOTED
    ):
        raise SqlRefused("the transform never reads `input`", 1, "select FROM input: it holds the staged rows")
    if words & {"limit", "fetch"} and "order" not in words:
        limit = next(token for token in tokens if token.kind is TokenKind.WORD and token.text in ("limit", "fetch"))
        message = "LIMIT without ORDER BY picks other rows each time, and validate runs the transform again to prove it"
        raise SqlRefused(message, limit.line, "add ORDER BY over a unique key")


def single_statement(sql: str) -> str:
    """Return the text without its closing semicolons and what follows them. ``sql`` has passed ``check_select``."""
    for token in tokens_of(sql):
        if token.kind is TokenKind.MARK and token.text == ";":
            return sql[: token.start].rstrip()
    return sql


def _read(sql: str) -> list[Token]:
    if len(sql) > SQL_LENGTH_MAX:
        raise SqlRefused(f"more than {SQL_LENGTH_MAX:,} characters", 1, "make it shorter")
    try:
        tokens = list(tokens_of(sql))
    except UnreadableSql as error:
        raise SqlRefused(str(error), error.line, "close it") from None
    for index, token in enumerate(tokens):
        if token.kind is TokenKind.MARK and token.text == ";":
            rest = [later for later in tokens[index:] if later.text != ";" or later.kind is not TokenKind.MARK]
            if rest:
                raise SqlRefused("more than one statement", rest[0].line, "keep one SELECT")
            return tokens[:index]
    return tokens


def _check_head(tokens: list[Token]) -> None:
    if not tokens:
        raise SqlRefused("there is no statement", 1, "write one SELECT")
    head = tokens[0]
    if head.text not in _HEADS or head.kind not in (TokenKind.WORD, TokenKind.MARK):
        raise _not_select(head)


def _not_select(token: Token) -> SqlRefused:
    reason = _REASONS.get(token.text) if token.kind is TokenKind.WORD else None
    return SqlRefused(reason or f"{shown(token.text.upper())} does not begin a SELECT", token.line, "write one SELECT")


class _Walk:
    """One pass over the tokens that knows, for each open parenthesis, whether it stands in a FROM list."""

    def __init__(self, tokens: list[Token], statement: Statement) -> None:
        self.tokens = tokens
        self.statement = statement
        self.in_select = [False]
        self.in_from = [False]

    def check(self) -> None:
        """Raise SqlRefused at the first token that does more than select."""
        for index, token in enumerate(self.tokens):
            if token.kind is TokenKind.MARK:
                self._mark(index, token)
            elif token.kind is TokenKind.WORD:
                self._word(index, token)
            if token.kind in (TokenKind.STRING, TokenKind.QUOTED):
                self._literal(index, token)
            if token.kind in (TokenKind.WORD, TokenKind.QUOTED) and self._is(index + 1, "("):
                self._function(token)
        if len(self.in_select) > 1:
            raise SqlRefused("a parenthesis is never closed", self.tokens[-1].line, "close it")

    def _is(self, index: int, *texts: str) -> bool:
        if not 0 <= index < len(self.tokens):
            return False
        token = self.tokens[index]
        return token.kind in (TokenKind.WORD, TokenKind.MARK) and token.text in texts

    def _mark(self, index: int, token: Token) -> None:
        if token.text == "(":
            if len(self.in_select) > _NESTING_MAX:
                raise SqlRefused(f"nested deeper than {_NESTING_MAX} levels", token.line, "make it simpler")
            self.in_select.append(False)
            # Inside FROM ( … ) a joined table may stand: the list goes on.
            self.in_from.append(self.in_from[-1] and self._is(index - 1, "from", "join", ",", "("))
        elif token.text == ")":
            if len(self.in_select) == 1:
                raise SqlRefused("a parenthesis is closed that was never opened", token.line, "remove it")
            self.in_select.pop()
            self.in_from.pop()

    def _word(self, index: int, token: Token) -> None:
        opened = self._is(index - 1, "(")
        begins = index == 0 or (opened and (self.in_from[-1] or self._is(index - 2, "as", "materialized")))
        names_something = self._is(index + 1, "(", ",", ")", ".", "=", "<", ">", "+", "-", "*", "/", "|", ":")
        if begins and _OTHER_STATEMENTS.fullmatch(token.text) and not names_something:
            raise _not_select(token)
        follows_name = self._is(index - 1, ".", "as")
        if token.text == "into" and not follows_name:
            raise SqlRefused("SELECT … INTO writes a table", token.line, "leave INTO out")
        if token.text == "for" and self._is(index + 1, "update", "share", "no", "key"):
            raise SqlRefused("SELECT … FOR UPDATE locks rows", token.line, "leave FOR UPDATE out")
        if token.text == "u" and self._escaped_by_unicode(index):
            raise SqlRefused("U& escapes hide what is meant", token.line, "write the text itself")
        self._stable(index, token, follows_name)
        self._clause(index, token, follows_name)

    def _escaped_by_unicode(self, index: int) -> bool:
        """Tell U&"…" and U&'…' from a column u in u & 1: only there nothing stands between."""
        following = self.tokens[index + 1 : index + 3]
        start = self.tokens[index].start
        return (
            [token.start for token in following] == [start + 1, start + 2]
            and following[0].text == "&"
            and following[1].kind in (TokenKind.STRING, TokenKind.QUOTED)
        )

    def _stable(self, index: int, token: Token, follows_name: bool) -> None:
        if self.statement is not Statement.TRANSFORM or follows_name:
            return
        sampled = token.text == "using" and self._is(index + 1, "sample")
        if token.text in _UNSTABLE_WORDS or sampled:
            word = "USING SAMPLE" if sampled else token.text.upper()
            raise self._unstable(word, token)

    def _unstable(self, word: str, token: Token) -> SqlRefused:
        message = f"{word} gives another answer each time, and validate runs the transform again to prove it"
        return SqlRefused(message, token.line, "use values from `input`, or constants")

    def _clause(self, index: int, token: Token, follows_name: bool) -> None:
        if follows_name:
            if self.in_from[-1] and token.text in _EXTENSIONS and self._is(index - 1, "."):
                raise self._file(token)
            return
        if token.text == "select":
            self.in_select[-1] = True
        compared = self._is(index - 1, "distinct") and self._is(index - 2, "is", "not")
        if token.text == "from" and not compared and (self.in_select[-1] or index == 0 or self._is(index - 1, "(")):
            self.in_select[-1] = True
            self.in_from[-1] = True
        elif token.text == "join" and self.in_select[-1]:
            self.in_from[-1] = True
        elif _LEAVES_FROM.fullmatch(token.text):
            self.in_from[-1] = False

    def _literal(self, index: int, token: Token) -> None:
        if not (self.in_from[-1] and self._is(index - 1, "from", "join", ",", "(", "lateral")):
            return
        if token.kind is TokenKind.STRING or _FILE_NAME.search(token.text):
            raise self._file(token)

    def _file(self, token: Token) -> SqlRefused:
        return SqlRefused("a file is read by its name", token.line, self._source_hint())

    def _source_hint(self) -> str:
        if self.statement is Statement.TRANSFORM:
            return "select FROM input: it holds the staged rows"
        return "select from the destination itself"

    def _function(self, token: Token) -> None:
        name = token.text.lower()
        written = f"{name}()"
        if _FILE_FUNCTIONS.fullmatch(name):
            raise SqlRefused(f"{written} reads files or secrets", token.line, self._source_hint())
        if _REACHING_FUNCTIONS.fullmatch(name):
            raise SqlRefused(f"{written} runs statements of its own", token.line, self._source_hint())
        if _CHANGING_FUNCTIONS.fullmatch(name):
            raise SqlRefused(f"{written} does more than select", token.line, "leave it out")
        if self.statement is Statement.TRANSFORM and _UNSTABLE_FUNCTIONS.fullmatch(name):
            raise self._unstable(written, token)
