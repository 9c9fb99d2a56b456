"""Cuts SQL into tokens, far enough to tell code from strings and comments. It never changes or prints a statement."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass


class TokenKind(enum.Enum):
    """What a token is, as far as a guard must know."""

    WORD = "word"
    QUOTED = "quoted name"
    STRING = "string"
    NUMBER = "number"
    MARK = "mark"


@dataclass(frozen=True, slots=True)
class Token:
    """One token. ``text`` is folded to lower case for words, unquoted for quoted names, the content for strings."""

    kind: TokenKind
    text: str
    line: int
    start: int


class UnreadableSql(ValueError):
    """SQL that ends inside a string, a name or a comment. ``line`` is where that began, from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


_SPACE = re.compile(r"\s+")
_LINE_COMMENT = re.compile(r"--[^\n]*")
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_WORD = re.compile(r"[^\W\d][\w$]*")
_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F_]+|\d[\d_]*(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)")
_DOLLAR = re.compile(r"\$(?:[^\W\d]\w*)?\$")
_PLAIN_STRING = re.compile(r"'((?:[^']|'')*)'")
_ESCAPE_STRING = re.compile(r"[eE]'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"]|"")*)"')


def tokens_of(sql: str) -> Iterator[Token]:
    """Yield the tokens of a text. Raises UnreadableSql."""
    position, line = 0, 1
    while position < len(sql):
        end = _skip(sql, position, line)
        if end == position:
            token, end = _token(sql, position, line)
            yield token
        line += sql.count("\n", position, end)
        position = end


def _skip(sql: str, position: int, line: int) -> int:
    """Return the end of the white space or comment at ``position``, or ``position`` itself."""
    match = _SPACE.match(sql, position) or _LINE_COMMENT.match(sql, position)
    if match is not None:
        return match.end()
    if not sql.startswith("/*", position):
        return position
    depth, end = 0, position
    # PostgreSQL nests comments; DuckDB and SQLite do not. A nested one is therefore read in two ways: refuse it.
    while edge := _COMMENT_EDGE.search(sql, end):
        end = edge.end()
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return end
        if depth > 1:
            raise UnreadableSql("a comment inside a comment", line)
    raise UnreadableSql("a comment that never ends", line)


def _token(sql: str, position: int, line: int) -> tuple[Token, int]:
    first = sql[position]
    match = _ESCAPE_STRING.match(sql, position) if first in "eE" else None
    match = match or (_PLAIN_STRING.match(sql, position) if first == "'" else None)
    if match is not None:
        return Token(TokenKind.STRING, match[1].replace("''", "'"), line, position), match.end()
    if first == '"' and (match := _QUOTED.match(sql, position)):
        return Token(TokenKind.QUOTED, match[1].replace('""', '"'), line, position), match.end()
    if first in "'\"" or (first in "eE" and sql.startswith("'", position + 1)):
        raise UnreadableSql("a string or quoted name that never ends", line)
    if first == "$" and (match := _DOLLAR.match(sql, position)):
        end = sql.find(match.group(), match.end())
        if end < 0:
            raise UnreadableSql("a dollar-quoted string that never ends", line)
        return Token(TokenKind.STRING, sql[match.end() : end], line, position), end + len(match.group())
    if match := _WORD.match(sql, position):
        return Token(TokenKind.WORD, match.group().lower(), line, position), match.end()
    if match := _NUMBER.match(sql, position):
        return Token(TokenKind.NUMBER, match.group(), line, position), match.end()
    return Token(TokenKind.MARK, first, line, position), position + 1
