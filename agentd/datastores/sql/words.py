"""The words of an SQL statement as an engine stored it: enough to see what it declares and whom it names."""

import re
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'"""
    r"""|"(?P<double>(?:[^"]|"")*)"|`(?P<back>(?:[^`]|``)*)`|\[(?P<bracket>[^\]]*)\]"""
    r"""|(?P<bare>[^\W\d][\w$]*)|(?P<mark>[^\s\w])""",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Word:
    """One word. `keyword` is it in upper case where it stands unquoted, else ""; marks such as "(" are words too."""

    text: str
    keyword: str = ""


def words_of(sql: str) -> list[Word]:
    """Identifiers, keywords and marks in order, without literals and comments."""
    found = []
    for match in _TOKEN.finditer(sql):
        if match["bare"] is not None:
            found.append(Word(match["bare"], match["bare"].upper()))
        elif match["mark"] is not None:
            found.append(Word(match["mark"], match["mark"]))
        elif match["double"] is not None:
            found.append(Word(match["double"].replace('""', '"')))
        elif match["back"] is not None:
            found.append(Word(match["back"].replace("``", "`")))
        elif match["bracket"] is not None:
            found.append(Word(match["bracket"]))
    return found


def names(sql: str, table: str) -> bool:
    """Whether a statement has this name among its words, whatever its case."""
    return any(word.text.lower() == table.lower() for word in words_of(sql))


def columns_declared(sql: str) -> dict[str, list[Word]]:
    """What follows each column's name in a CREATE TABLE, up to the comma that ends it; table constraints left out."""
    words = words_of(sql)
    start = next((i for i, word in enumerate(words) if word.keyword == "("), len(words))
    found: dict[str, list[Word]] = {}
    for item in _items(words[start + 1 :]):
        if item and item[0].keyword not in ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"):
            found[item[0].text] = item[1:]
    return found


def checks_declared(sql: str) -> list[str]:
    """A name for each CHECK in a CREATE TABLE: its own, its column's, or "check" where it has neither."""
    words = words_of(sql)
    start = next((i for i, word in enumerate(words) if word.keyword == "("), len(words))
    found = []
    for item in _items(words[start + 1 :]):
        for index, word in enumerate(item):
            if word.keyword != "CHECK":
                continue
            named = index >= 2 and item[index - 2].keyword == "CONSTRAINT"
            of_table = item[0].keyword in ("CONSTRAINT", "CHECK")
            found.append(item[index - 1].text if named else "check" if of_table else item[0].text)
    return numbered(found)


def _items(words: list[Word]) -> list[list[Word]]:
    """Items between the commas of the outermost parentheses."""
    items: list[list[Word]] = [[]]
    depth = 0
    for word in words:
        if word.keyword == ")" and depth == 0:
            break
        depth += {"(": 1, ")": -1}.get(word.keyword, 0)
        if word.keyword == "," and depth == 0:
            items.append([])
        else:
            items[-1].append(word)
    return items


def numbered(found: list[str]) -> list[str]:
    """The names, with a number behind each one that came before."""
    seen: dict[str, int] = {}
    numbered = []
    for name in found:
        seen[name] = seen.get(name, 0) + 1
        numbered.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return numbered
