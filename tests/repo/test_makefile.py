"""The verbs: bare `make` lists them all, and each one calls something that exists."""

import re
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


@cache
def listed() -> dict[str, str]:
    """What bare `make` prints: verb to explanation."""
    printed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    return dict(re.findall(r"^  ([a-z-]+) +(\S.*)$", printed, re.MULTILINE))


def verbs() -> set[str]:
    return set(re.findall(r"^\.PHONY: (\S+)$", MAKEFILE, re.MULTILINE))


def test_bare_make_lists_every_verb_with_one_line() -> None:
    assert listed().keys() == verbs()
    assert all(len(line) <= 90 for line in listed().values())


def test_every_verb_is_a_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    assert targets == verbs()


def programs() -> dict[str, Path | None]:
    """The modules of ours that verbs run, and where each is; None where it is nowhere."""
    found: dict[str, Path | None] = {}
    for name in set(re.findall(r"-m (tests[.\w]*)", MAKEFILE)):
        path = ROOT / name.replace(".", "/")
        found[name] = next(filter(Path.is_file, (path.with_suffix(".py"), path / "__main__.py")), None)
    return found


def test_every_program_that_a_verb_runs_exists() -> None:
    assert programs()
    assert not [name for name, path in programs().items() if path is None]


def test_every_verb_that_runs_for_long_runs_under_a_warden() -> None:
    ours = {name: path for name, path in programs().items() if path and name != "tests.kit.warden"}
    assert not [name for name, path in ours.items() if "    leave(" not in path.read_text()]
    runs = re.findall(r"^\t@.*\(PY\) (.*)$", MAKEFILE, re.MULTILINE)
    assert not [run for run in runs if re.match(r"-m (pytest|coverage run)|packaging/(?!errors_page)", run)], (
        "use $(WARDEN)"
    )


def test_the_contributing_page_explains_every_verb_and_no_other() -> None:
    explained = set(re.findall(r"\bmake ([a-z][a-z-]*)", (ROOT / "docs" / "contributing.md").read_text()))
    assert explained == verbs() - {"help"}


def test_the_manual_mentions_only_verbs_that_exist() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        mentioned = set(re.findall(r"`(?:[A-Z]+=\S+ )?make ([a-z][a-z-]*)", page.read_text()))
        assert mentioned <= verbs(), f"{page.name}: {sorted(mentioned - verbs())}"
