"""The manual keeps up with the product: what can be said, configured, written or met is documented, computed from the
code. Nothing here is a list of what should be documented."""

import argparse
import ast
import dataclasses
import re
import types
import typing
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import typer.main
from pydantic import BaseModel
from typer.core import TyperArgument

from agentd import __main__ as agent_program
from agentd.config import reading as agent_config
from agentd.executors import registry
from agentd.policy import reading as agent_policy
from agentd.proof.digests import digest_of
from agentd.proof.types import Column, ColumnType, arrow_schema
from agentd.updater import main as updater_program
from controlplane import __main__ as controlplane_program
from controlplane.cli import main as command_line
from controlplane.cli.screen import exits
from controlplane.config import Config, load
from controlplane.manifests.compiling.step_kinds import BUILT_IN
from controlplane.manifests.kinds.column_types import SPELLINGS
from controlplane.manifests.kinds.dataset import DatasetSpec
from controlplane.manifests.kinds.datastore import ENGINES
from controlplane.manifests.kinds.documents import KINDS
from controlplane.manifests.kinds.fleet import FleetSpec
from controlplane.manifests.kinds.migration import MigrationSpec
from controlplane.manifests.kinds.model import Metadata
from controlplane.manifests.kinds.workflow import WorkflowSpec
from controlplane.manifests.parsing import parse
from controlplane.manifests.text.findings import SourceFile

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@cache
def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def ticked(text: str) -> set[str]:
    """Everything in back quotes, and each word of it."""
    spans = re.findall(r"`([^`\n]+)`", text)
    return {*spans, *(word.strip("{},:[]") for span in spans for word in span.split())}


def section(text: str, heading: str) -> str:
    """The text below a heading up to the next one of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    after = text.split(f"\n{heading}\n", 1)[1]
    return re.split(rf"\n#{{1,{level}}} ", after)[0]


# ---- Commands, options, exit codes


def commands() -> Iterator[tuple[str, Any]]:
    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        below = getattr(command, "commands", None)
        if below is None:
            yield name, command
        for verb, each in (below or {}).items():
            yield from walk(f"{name} {verb}", each)

    yield from walk("haulier", typer.main.get_command(command_line.build()))


def verbs_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (below,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(below.choices)


def daemons() -> dict[str, dict[str, argparse.ArgumentParser]]:
    parsers = (controlplane_program._parser(), agent_program._parser(), updater_program._parser())
    return {parser.prog: verbs_of(parser) for parser in parsers}


def test_every_command_is_documented() -> None:
    text = page("cli.md")
    named = [name for name, _ in commands()]
    named += [f"{program} {verb}" for program, verbs in daemons().items() for verb in verbs]
    assert len(named) > 25
    assert not [name for name in named if not re.search(rf"`{re.escape(name)}[` ]", text)]


def test_every_option_is_documented() -> None:
    known = ticked(page("cli.md"))
    options = {
        option
        for _, command in commands()
        for each in command.params
        for option in each.opts
        if not isinstance(each, TyperArgument) and option.startswith("--")
    }
    for verbs in daemons().values():
        options |= {o for parser in verbs.values() for a in parser._actions for o in a.option_strings if o[:2] == "--"}
    assert "--reason" in options and "--probe" in options
    assert not options - known - {"--help"}


def test_every_exit_code_is_documented() -> None:
    text = page("cli.md")
    for code, meaning in exits.MEANING.items():
        assert f"| {int(code)} | {meaning} |" in section(text, "## Exit codes")
    programs = {"controlplane": controlplane_program, "agentd": agent_program, "updater": updater_program}
    for name, module in programs.items():
        program = f"haulier-{name}"
        told = set(re.findall(r"^\| (\d+) \|", section(text, f"# `{program}`"), re.MULTILINE))
        promised = set(re.findall(r"(?:codes: |· )(\d+)", (module.__doc__ or "").replace("\n", " ")))
        assert promised and promised <= told, program


# ---- Configuration


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("### Configuration of the control plane", [field.name for field in dataclasses.fields(Config)]),
        ("### Configuration of the agent", [*agent_config._KEYS]),
        ("## The whole host", [agent_policy._FROM_RELEASE, *agent_policy._KEYS]),
        ("## Datastores", [*agent_policy._DATASTORE_TEXTS, *agent_policy._DATASTORE_LISTS, "ports"]),
        ("## Programs", [*agent_policy._PROGRAM_KEYS]),
    ],
)
def test_every_key_has_a_row(heading: str, names: list[str]) -> None:
    text = page("operations.md" if heading.startswith("###") else "host-policy.md")
    rows = re.findall(r"^\| `(\w+)` \|", section(text, heading), re.MULTILINE)
    assert sorted(rows) == sorted(names)


def test_defaults_of_the_control_plane_are_told() -> None:
    told = dict(
        re.findall(
            r"^\| `(\w+)` \| (\S+) \|", section(page("operations.md"), "### Configuration of the control plane"), re.M
        )
    )
    defaults = {field.name: getattr(load(None, {}), field.name) for field in dataclasses.fields(Config)}
    for name, value in defaults.items():
        shown = f"{value:g}" if isinstance(value, float) else f"`{value}`" if value else "none"
        assert told[name] == shown, name


# ---- Manifests


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """Every model that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in (*typing.get_args(annotation), *getattr(annotation, "__metadata__", ())):
        yield from models_in(part)
    if isinstance(annotation, types.UnionType):
        for part in annotation.__args__:
            yield from models_in(part)


def fields_below(model: type[BaseModel], seen: set[type[BaseModel]] | None = None) -> set[str]:
    """Names of a model's fields as people write them, and of everything below it."""
    seen = set() if seen is None else seen
    if model in seen:
        return set()
    seen.add(model)
    names = {field.alias or name for name, field in model.model_fields.items()}
    for field in model.model_fields.values():
        for below in models_in(field.annotation):
            names |= fields_below(below, seen)
    return names


@pytest.mark.parametrize(
    ("heading", "models"),
    [
        ("## Every kind: `metadata`", [Metadata]),
        ("## Datastore: a named place that holds datasets", [engine.spec for engine in ENGINES.values()]),
        ("## Dataset: a named body of data with one home", [DatasetSpec]),
        ("## Workflow: a template of steps", [WorkflowSpec]),
        ("## Migration: one dataset from its home to another", [MigrationSpec]),
        ("## Fleet: hosts and the release they run", [FleetSpec]),
    ],
)
def test_every_field_is_documented(heading: str, models: Iterable[type[BaseModel]]) -> None:
    fields = set().union(*(fields_below(model) for model in models))
    assert fields
    assert not fields - ticked(section(page("manifests.md"), heading))


def test_every_kind_engine_type_and_reference_is_documented() -> None:
    known = ticked(page("manifests.md"))
    assert not {*ENGINES, *SPELLINGS} - known
    assert not [kind for kind in KINDS if f"\n## {kind}: " not in page("manifests.md")]
    from controlplane.manifests.compiling.references import _MIGRATION_SHAPES

    assert not {f"${{migration.{name}}}" for name in _MIGRATION_SHAPES} - known


def test_every_step_kind_and_parameter_is_documented() -> None:
    assert BUILT_IN.keys() == registry.BUILT_IN.keys()
    text = section(page("manifests.md"), "### Step kinds")
    for kind, about in BUILT_IN.items():
        if not about.in_workflows:
            continue
        part = text.split(f"**`{kind}`**", 1)[1].split("\n**`")[0]
        taken = {field.json_name for field in about.params_descriptor.fields} - set(about.granted)
        assert not taken - ticked(part), kind


def test_the_manuals_manifests_are_right() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", page("manifests.md"), re.DOTALL)
    assert len(blocks) == len(KINDS)
    for block in blocks:
        assert not parse([SourceFile("manual.yaml", block.encode())]).findings


# ---- Failures, promises, proof


# A failure in a table: its code, what to do, whether to try again.
def test_every_code_by_which_a_host_refuses_a_release_is_explained() -> None:
    codes = set()
    for path in [*sorted((ROOT / "agentd" / "updater").glob("*.py")), ROOT / "agentd" / "upgrading" / "fetching.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Refused", "FetchError") and node.args:
                codes |= {each.value for each in ast.walk(node.args[0]) if isinstance(each, ast.Constant)}
    assert len(codes) > 20
    assert not codes - ticked(page("upgrades.md"))


def test_every_promise_that_a_checker_names_is_told() -> None:
    told = {row: line for line in page("promises.md").splitlines() for row in re.findall(r"^\| ([A-Z]\d) \|", line)}
    for folder, word in (("controlplane/core/health/doctor.py", "doctor"), ("tests/sim", "sim")):
        place = ROOT / folder
        files = [place] if place.is_file() else sorted(place.rglob("*.py"))
        named = {i for file in files for i in re.findall(r'"([LSDCAU]\d)"', file.read_text())}
        assert named
        assert not [i for i in sorted(named) if not re.search(rf"\b{word}\b", told[i].rpartition(" | ")[2])]


def test_the_proof_can_be_computed_from_the_page_alone() -> None:
    text = page("architecture.md")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    scope: dict[str, object] = {}
    exec(compile(block, "architecture.md", "exec"), scope)  # noqa: S102 - the page is ours, and its code is under test
    assert f"gives `{scope['digest']}`" in text
    columns = (Column("id", ColumnType.INT64), Column("name", ColumnType.TEXT))
    arrays = [pa.array([1, 2], pa.int64()), pa.array(["Ada", None], pa.string())]
    batch = pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(columns))
    assert digest_of([batch], columns).value().hex() == scope["digest"]


def test_the_type_numbers_on_the_page_are_those_of_the_code() -> None:
    rows = re.findall(r"^\| (\w+) \| (\d) \|", section(page("architecture.md"), "## Proof"), re.MULTILINE)
    assert {name: int(number) for name, number in rows} == {kind.name.lower(): kind.value for kind in ColumnType}


# ---- The pages themselves


def test_links_lead_somewhere() -> None:
    broken = []
    for file in [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]*)(?:#[^)]*)?\)", file.read_text()):
            if target and "://" not in target and not (file.parent / target).exists():
                broken.append(f"{file.name}: {target}")
    assert not broken


def test_anchors_lead_to_headings() -> None:
    broken = []
    for file in [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]:
        for target, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", file.read_text()):
            other = (file.parent / target).read_text() if target else file.read_text()
            headings = re.findall(r"^#+ (.+)$", other, re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
            if anchor not in slugs:
                broken.append(f"{file.name}: {target}#{anchor}")
    assert not broken


def test_the_readme_names_every_page_and_its_manifest_is_right() -> None:
    text = (ROOT / "README.md").read_text()
    assert not [file.name for file in DOCS.glob("*.md") if f"(docs/{file.name})" not in text]
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert not parse([SourceFile("crew.yaml", block.encode())]).findings


def test_commands_in_the_readme_exist() -> None:
    text = "\n".join(re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL))
    known = {name for name, _ in commands()}
    used = re.findall(r"\bhaulier (?:[a-z]+ [a-z]+|[a-z]+)", "\n".join(re.findall(r"^\$ (.*)$", text, re.MULTILINE)))
    assert used
    assert not [each for each in used if not known & {each, " ".join(each.split()[:2])}]


def test_what_is_missing_is_said_in_one_place() -> None:
    assert (ROOT / "README.md").read_text().count("Not there yet") == 1
    for file in DOCS.glob("*.md"):
        for line in file.read_text().splitlines():
            assert "not there yet" not in line.lower() or "](../README.md)" in line, f"{file.name}: link to the README"
