"""Man pages out of the programs' own parsers, so that no page can say what its program does not do.

python packaging/manual.py DIRECTORY
"""

import argparse
import importlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Option:
    """One option or argument: how it is written, and what it does."""

    names: str
    help: str


@dataclass(frozen=True, slots=True)
class Command:
    """One command with its options; the program itself has an empty name."""

    name: str
    help: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """What a page is about. `ending` goes last: exit codes, mostly."""

    name: str
    summary: str
    commands: tuple[Command, ...]
    ending: str = ""


def from_argparse(parser: argparse.ArgumentParser) -> Program:
    """Read a parser of the standard library, with one level of commands."""
    commands = [Command("", "", tuple(_argparse_options(parser)))]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, verb in action.choices.items():
                commands.append(Command(name, helps.get(name, ""), tuple(_argparse_options(verb))))
    ending = _paragraphs(parser.epilog or "")[-1]
    return Program(parser.prog, _sentence(parser.description or ""), tuple(commands), ending)


def _argparse_options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
            continue
        value = action.metavar or ("|".join(action.choices) if action.choices else action.dest.upper())
        takes = "" if action.nargs == 0 else f" {value}"
        names = ", ".join(f"{name}{takes}" for name in action.option_strings) or str(value)
        # The build host's name is not the default on any other host.
        default = "the host's name" if action.default == os.uname().nodename else action.default
        text = (action.help or "") % {"default": default, "prog": parser.prog}
        yield Option(names, text)


def from_click(name: str, group: Any, ending: str) -> Program:
    """Read a click group, with all its commands at any depth."""
    return Program(name, _sentence(group.help or ""), tuple(_click_commands(group, "")), ending)


def _click_commands(command: Any, name: str) -> Iterator[Command]:
    hidden = {"--install-completion", "--show-completion", "--help"}
    options = []
    for each in command.params:
        record = each.get_help_record(importlib.import_module("click").Context(command))
        if record is not None and not hidden & set(getattr(each, "opts", ())):
            options.append(Option(*record))
    if name == "" or not hasattr(command, "commands"):
        yield Command(name, _sentence(command.help or ""), tuple(options))
    for below in sorted(getattr(command, "commands", {})):
        if not command.commands[below].hidden:
            yield from _click_commands(command.commands[below], f"{name} {below}".strip())


def page(program: Program, version: str) -> str:
    """The page as troff, for section 1."""
    summary = program.summary.removeprefix(f"`{program.name}`: ").rstrip(".")
    lines = [f'.TH {program.name.upper()} 1 "" "Haulier {version}" "Haulier"', ".SH NAME"]
    lines += [f"{program.name} \\- {_text(summary[0].lower() + summary[1:])}", ".SH SYNOPSIS"]
    lines += [f".B {_text(program.name)}", ".I COMMAND", "[options]"]
    if program.commands[0].options:
        lines += [".SH OPTIONS", *_options(program.commands[0].options)]
    lines.append(".SH COMMANDS")
    for command in program.commands[1:]:
        lines += [f".SS {_text(f'{program.name} {command.name}')}", _text(command.help), *_options(command.options)]
    if program.ending:
        lines += [".SH EXIT STATUS", _text(program.ending)]
    lines += [".SH SEE ALSO", "The manual in the directory docs of the sources: cli.md, operations.md, install.md."]
    return "\n".join(line for line in lines if line) + "\n"


def _options(options: Iterable[Option]) -> Iterator[str]:
    for option in options:
        yield from (".TP", f".B {_text(option.names)}", _text(option.help) or "\\&")


def _text(text: str) -> str:
    escaped = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped)


def _paragraphs(text: str) -> list[str]:
    return re.split(r"\n\s*\n", text.strip())


def _sentence(text: str) -> str:
    return _paragraphs(text)[0]


def programs() -> Iterator[Program]:
    """Every program that this checkout has."""
    yield from_argparse(importlib.import_module("agentd.__main__")._parser())
    yield from_argparse(importlib.import_module("agentd.updater.main")._parser())
    yield from_argparse(importlib.import_module("controlplane.__main__")._parser())
    typer = importlib.import_module("typer.main")
    main = importlib.import_module("controlplane.cli.main")
    codes = "; ".join(line.strip() for line in main.exit_table().splitlines())
    yield from_click("haulier", typer.get_command(main.build()), codes)


def write(directory: Path, version: str) -> list[Path]:
    """Write all pages; return their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for program in programs():
        path = directory / f"{program.name}.1"
        path.write_text(page(program, version), encoding="utf-8")
        written.append(path)
    return written


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "proto")]
    for made in write(Path(sys.argv[1]), "0"):
        print(made)
