"""README and the architecture page name every package, contract file, gRPC service, loop and program, and no other."""

import ast
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.repo.test_loops import started

ROOT = Path(__file__).parents[2]
SIDES = ("controlplane", "agentd")
PAGE = (ROOT / "docs" / "architecture.md").read_text()
README = (ROOT / "README.md").read_text()
PROTO = ROOT / "proto" / "haulier" / "v1"


def packages(side: str) -> dict[str, str]:
    """Path of each package of a side → the first sentence of its docstring."""
    return {
        f"{file.parent.relative_to(ROOT).as_posix()}/": first_sentence(file)
        for file in sorted((ROOT / side).rglob("__init__.py"))
        if file.parent != ROOT / side
    }


def first_sentence(file: Path) -> str:
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    return re.split(r"(?<=\.)\s", " ".join(text.split()), maxsplit=1)[0].replace("``", "`").replace("|", r"\|")


def rows(text: str, title: str) -> dict[str, str]:
    """The table below a title: what stands between backticks in the first column → the rest of its row."""
    below = text.partition(f"\n{title}\n")[2]
    assert below, f"there is no {title}"
    return dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", re.split(r"\n#+ ", below)[0], re.MULTILINE))


@pytest.mark.parametrize("side", SIDES)
def test_the_page_lists_every_package_as_its_docstring_begins(side: str) -> None:
    wanted = packages(side)
    assert len(wanted) > 20
    written = "\n".join(f"| `{path}` | {said} |" for path, said in wanted.items())
    assert rows(PAGE, f"### `{side}/`") == wanted, f"the table must be:\n{written}"


@pytest.mark.parametrize("side", SIDES)
def test_the_readme_names_every_layer(side: str) -> None:
    (row,) = (line for line in README.splitlines() if line.startswith(f"| `{side}/` |"))
    layers = {path.removeprefix(f"{side}/") for path in packages(side) if path.count("/") == 2}
    assert set(re.findall(r"`(\w+/)`", row)) - {f"{side}/"} == layers


def test_the_page_lists_every_contract_file_with_its_services() -> None:
    files = sorted(PROTO.glob("*.proto"))
    wanted = {file.name: re.findall(r"^service (\w+)", file.read_text(), re.MULTILINE) for file in files}
    found = {name: re.findall(r"`(\w+Service)`", said) for name, said in rows(PAGE, "### The contract").items()}
    assert found == wanted


def test_the_readme_names_every_contract_file() -> None:
    (row,) = (line for line in README.splitlines() if line.startswith("| `proto/haulier/v1/` |"))
    assert set(re.findall(r"`(\w+\.proto)`", row)) == {file.name for file in PROTO.glob("*.proto")}


def test_the_page_lists_every_loop() -> None:
    assert set(rows(PAGE, "### The loops of the control plane")) == set(started())


@pytest.mark.parametrize(("text", "title"), [(PAGE, "### The processes"), (README, "## Where things are")])
def test_every_program_is_named(text: str, title: str) -> None:
    programs = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert programs_in(rows(text, title)) == set(programs)


def programs_in(names: Iterable[str]) -> set[str]:
    return {name for name in names if re.fullmatch(r"haulier(-\w+)?", name)}
