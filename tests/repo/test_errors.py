"""Errors and their remedies: the page is what the source says, and no hint names a command that does not exist."""

import argparse
import ast
import importlib.util
import re
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer.main

from agentd import __main__ as agent_program
from agentd.updater import main as updater_program
from controlplane import __main__ as controlplane_program
from controlplane.cli import main as command_line

ROOT = Path(__file__).parents[2]
PROGRAMS = ("haulier", "haulier-agentd", "haulier-controlplane", "haulier-updater")
NAMED = re.compile(rf"(?<![\w/@.-])({'|'.join(sorted(PROGRAMS, key=len, reverse=True))}) ([^`\n;,()]+)")
# The tests that give the commands, and how they say which.
GIVES = [
    ROOT / "tests" / "integration" / "controlplane" / name for name in ("test_hints.py", "test_hints_on_access.py")
]
WAYS = (
    "list|get|create|drain|revoke|resume|uncordon|rotate|retire|retry|accept|cancel|start|rollback|clean-up|approve"
    "|export"
)
GIVEN = rf'"((?:[a-z]+ (?:{WAYS})|delete migration|apply manifests|why)\b[^"]*)"'
# Calls that give a failure its code, and the types of a row of the tables that do.
GIVERS = ("StepFailure", "Failure", "failed", "_Known")
TABLED = [str, str, bool]


def the_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("errors_page", ROOT / "packaging" / "errors_page.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


errors_page = the_generator()


# ---- The page


def test_the_page_is_what_the_source_says() -> None:
    assert errors_page.PAGE.read_text() == errors_page.page(), "mend it with: make errors-page"


def test_every_side_is_on_the_page() -> None:
    for side, said in errors_page.refusals().items():
        assert len(said) > 10, side


def given_codes() -> set[str]:
    """Codes that the agent's and the control plane's own code gives to failures."""
    found: set[str] = set()
    for _, tree in errors_page.sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if called in GIVERS and isinstance(node.args[0].value, str):
                    found.add(node.args[0].value)
            elif isinstance(node, ast.Tuple) and [type(getattr(cell, "value", None)) for cell in node.elts] == TABLED:
                found.add(node.elts[0].value)  # type: ignore[attr-defined]
    return found


def test_every_failure_code_is_told_once_with_its_remedy() -> None:
    rows = errors_page.failure_codes()
    told = Counter(code for row in rows for code in row.codes)
    assert not [code for code, times in told.items() if times > 1]
    assert not [row.codes for row in rows if not (row.meaning and row.remedy)]
    given = given_codes()
    assert {"unreachable", "value_does_not_fit", "disk_full", "queue_timeout"} <= given
    assert not given - told.keys()


def test_no_code_is_told_that_nothing_gives() -> None:
    words = {
        node.value
        for _, tree in errors_page.sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not {code for row in errors_page.failure_codes() for code in row.codes} - words


# ---- The commands that messages and hints name


def commands() -> Iterator[tuple[str, str]]:
    """Every command that a text of the product names: where, and how, with `1` for what is filled in."""
    for path, tree in errors_page.sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in _docs(tree) | _parts(tree):
                for command in named_in(filled(node)):
                    yield f"{path}:{node.lineno}", command


@cache
def _parts(tree: ast.Module) -> set[int]:
    """The pieces of texts with values in them, by `id`."""
    return {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}


@cache
def _docs(tree: ast.Module) -> set[int]:
    """The docstrings, by `id`."""
    return {id(node.body[0].value) for node in ast.walk(tree) if _has_doc(node)}  # type: ignore[attr-defined]


def _has_doc(node: ast.AST) -> bool:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    return isinstance(node, kinds) and ast.get_docstring(node) is not None


def filled(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    text = ""
    for part in node.values:
        if isinstance(part, ast.Constant):
            text += str(part.value)
        elif not re.search(r"[a-z]$", text):
            # The name of a kind stands for a noun; whatever else is filled in is a word of its own.
            text += "migration" if "kind" in ast.unparse(part) or "naming[0][0]" in ast.unparse(part) else "1"
    return text


def named_in(text: str) -> Iterator[str]:
    """Commands stand in back quotes, or are the whole text."""
    # What `haulier --version` prints, and the text of which a lock is made, name no command.
    if text.strip() in ("haulier 1", "haulier tables of 1"):
        return
    start = rf"(?:{'|'.join(PROGRAMS)}) (?!\|)"
    for span in [*re.findall(r"`([^`\n]+)`", text), text]:
        # `PROGRAM VERB: …` says who complains.
        if re.match(start, span) and not re.match(r"[a-z-]+ [a-z-]+:", span):
            yield span


def words_of(command: str) -> list[str]:
    """What a person would type: `NAME`, `TEXT` and the like are filled in, and so is `…`."""
    words = re.split(r" [<|>] ?", command)[0].split()
    return ["1" if re.fullmatch(r"[A-Z]+|…|NAME…", word) else word for word in words]


def fault_of(command: str) -> str:
    """What is wrong with a command, for the parser of its own program."""
    program, *words = words_of(command)
    if program == "haulier":
        return fault_for_click(words)
    verbs = verbs_of(program)
    if words and words[0] not in verbs:
        return f"there is no verb {words[0]}"
    known = {option for action in verbs[words[0]]._actions for option in action.option_strings} if words else set()
    return next((f"there is no option {word}" for word in words if word.startswith("--") and word not in known), "")


@cache
def verbs_of(program: str) -> dict[str, argparse.ArgumentParser]:
    parsers = (controlplane_program._parser(), agent_program._parser(), updater_program._parser())
    parser = next(each for each in parsers if each.prog == program)
    return next(dict(each.choices) for each in parser._actions if isinstance(each, argparse._SubParsersAction))


@cache
def the_tree() -> Any:
    return typer.main.get_command(command_line.build())


def fault_for_click(words: list[str]) -> str:
    command = the_tree()
    while words and hasattr(command, "commands"):
        verb, *words = words
        if verb.startswith("--"):
            return "" if verb in ("--help", "--version") else f"there is no option {verb}"
        if verb not in command.commands:
            return f"there is no verb {verb}"
        command = command.commands[verb]
    if not words or words == ["--help"]:
        return ""  # the verb is named, not a whole command
    try:
        command.make_context(command.name, list(words))
    except Exception as error:  # noqa: BLE001 - whatever the parser says is the fault
        return f"{type(error).__name__}: {error}"
    return ""


def test_every_command_in_a_message_exists_with_its_options() -> None:
    found = list(commands())
    assert len(found) > 80
    assert not [f"{where}: {command}: {fault}" for where, command in found if (fault := fault_of(command))]


def verb_of(command: str) -> str:
    """The program and the verb of a command."""
    program, *words = words_of(command)
    tree: Any = the_tree() if program == "haulier" else None
    verb = [program]
    while words and words[0] in getattr(tree, "commands", {}):
        verb.append(words[0])
        tree = tree.commands[words.pop(0)]
    return " ".join(verb)


def test_every_offered_command_is_given_in_a_test_or_it_is_told_why_not() -> None:
    given = {verb_of(f"haulier {each}") for file in GIVES for each in re.findall(GIVEN, file.read_text())}
    (told,) = (
        ast.literal_eval(node.value)
        for node in ast.parse(GIVES[0].read_text()).body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "NOT_GIVEN"
    )
    offered = {verb_of(command) for _, command in commands()}
    assert len(given & offered) > 20

    def excused(verb: str) -> bool:
        return any(verb == each or (each != "haulier" and verb.startswith(f"{each} ")) for each in told)

    left = offered - given
    assert not {verb for verb in left if not excused(verb)}
    assert not {each for each in told if not any(f"{verb} ".startswith(f"{each} ") for verb in left)}


def test_commands_in_sentences_stand_in_back_quotes() -> None:
    """So that it is plain where a command ends, for a person as for the test above; or they follow a colon."""
    verbs = {"haulier": [*the_tree().commands], **{program: [*verbs_of(program)] for program in PROGRAMS[1:]}}
    named = "|".join(f"{program} (?:{'|'.join(each)})" for program, each in verbs.items())
    loose = []
    for path, tree in errors_page.sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in _docs(tree) | _parts(tree):
                text = re.sub(r"`[^`]*`", "", filled(node))
                if re.search(rf"[^:\s\w/@-] +(?:{named})\b|\w +(?:{named})\b", text):
                    loose.append(f"{path}:{node.lineno}: {text}")
    assert not loose


@pytest.mark.parametrize(
    "command",
    [
        "haulier migration undo 1",
        "haulier authority finish",
        "haulier migration rollback 1 --discard",
        "haulier migration accept",
        "haulier-agentd forget 1",
        "haulier-controlplane serve --port 1",
    ],
)
def test_a_command_that_does_not_exist_is_found(command: str) -> None:
    assert fault_of(command) or command == "haulier migration accept"
