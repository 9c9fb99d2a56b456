"""Words that were replaced are used nowhere as a name: in code, contract, configuration, store, verbs or glossary."""

import ast
import io
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from tests.repo.test_docs import ROOT
from tests.repo.test_tidy import tracked

KEPT = tomllib.loads((ROOT / "tests" / "repo" / "old_words.toml").read_text(encoding="utf-8"))
WORDS, PLAIN = KEPT["words"], KEPT["plain"]
# Names in these files that are not Python are keys, verbs, columns, fields.
OTHERS = re.compile(r"\.(proto|sql|toml|ya?ml|tpl|service|socket|timer)$|(^|/)Makefile$")
# What has landed is never changed; and the list itself.
LEFT = re.compile(r"store/sqlite/revisions/|^tests/repo/(old_words\.toml|test_words\.py)$")
# What an old key says now, and an attempt that the release before began.
REFUSED = {"controlplane/config.py", "agentd/policy/reading.py", "agentd/runner/attempt_files.py"}


def parts(name: str) -> list[str]:
    """The words of an identifier.

    >>> parts("LeaseBook"), parts("calm_s")
    (['lease', 'book'], ['calm', 's'])
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return [part for part in spaced.lower().split("_") if part]


def old_words_in(name: str) -> list[str]:
    """The old words that a name is made of."""
    lowered = name.lower()
    for plain in PLAIN:
        lowered = re.sub(rf"(?<![a-z]){plain}(?![a-z])", "", lowered)
    return [part for part in parts(name) if part in WORDS and part in lowered]


def names(path: str) -> Iterator[str]:
    """Everything that a file names."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".py"):
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        yield from (token.string for token in tokens if token.type == tokenize.NAME)
        if path not in REFUSED and not path.startswith("tests/"):
            texts = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
            yield from (each for each in texts if isinstance(each, str) and re.fullmatch(r"\w+", each))
    elif OTHERS.search(path):
        bare = "\n".join(re.split(r"(?:^|\s)(?://|#|--)", line)[0] for line in text.splitlines())
        yield from re.findall(r"[A-Za-z_]\w*(?=\s*[:=({])|(?<=\")\w+(?=\")|^\w+$|(?<=name: )\w+", bare)


@pytest.mark.parametrize(("name", "found"), [("calm_s", ["calm"]), ("LawCheck", ["law"]), ("wall_clock", [])])
def test_a_name_is_taken_apart(name: str, found: list[str]) -> None:
    assert old_words_in(name) == found


def test_no_file_is_called_by_an_old_word() -> None:
    called = [path for path in tracked() for part in PurePosixPath(path).parts if old_words_in(part.partition(".")[0])]
    assert called == []


def test_no_name_is_an_old_word() -> None:
    used = {
        f"{path}: {name}, now {WORDS[word]}"
        for path in tracked()
        if not LEFT.search(path) and "_pb2" not in path
        for name in names(path)
        for word in old_words_in(name)
    }
    assert sorted(used) == []


def test_the_glossary_defines_none() -> None:
    rows = re.findall(r"^\| \*\*([^*]+)\*\* \|", (ROOT / "GLOSSARY.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [row for row in rows if any(word in WORDS for word in row.split())] == []
    assert len(rows) > 50
