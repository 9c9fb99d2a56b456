"""What the contributing page says of adding an engine or a step kind is all that it takes."""

import ast
import re
from collections.abc import Iterator

import pytest

from agentd.datastores.engines import ENGINES
from agentd.executors.registry import BUILT_IN
from tests.repo.test_docs import ROOT, page, section
from tests.repo.test_imports import product_files

EXISTING_MAX = 6
# Where an engine of its own is spelled: these are its files.
OF_ENGINES = re.compile(r"agentd/datastores/\w+/\w+\.py|controlplane/manifests/engines/\w+\.py")
OF_KINDS = re.compile(r"agentd/executors/\w+\.py|controlplane/manifests/compiling/step_kinds\.py")
# Names that mean something else there, or a use of one engine or kind for a purpose of its own.
ELSEWHERE = {
    "agentd/runnerhost.py": "DuckDB runs the SQL of transforms, whatever the datastores are",
    "agentd/selftest/running.py": "a library that must be there",
    "agentd/selftest/miniature.py": "a migration of its own, from a file that it writes",
    "controlplane/manifests/sql/guard.py": "words of SQL, and endings of files",
    "agentd/journal/mending.py": "a step that is tried out",
    "agentd/updater/black_box.py": "a file of the host",
    "controlplane/cli/agents/black_boxes.py": "a file of the host",
    "controlplane/cli/main.py": "a verb",
    "controlplane/cli/migrations/clean_up.py": "a verb",
    "controlplane/core/migrations/clean_up.py": "what clean-ups are for, compared by test_registries",
    "controlplane/manifests/compiling/plans.py": "a field of a Migration",
    "controlplane/manifests/compiling/references.py": "a field of a Migration",
    "controlplane/manifests/compiling/templates.py": "a field of a Migration",
    "controlplane/manifests/compiling/result_values.py": "the proof, whose values are shown or withheld",
    "controlplane/manifests/document_checks.py": "a field of a Migration",
    "controlplane/rpc/operators/translate.py": "figures of the proof and of what was read",
}


def listed(heading: str) -> list[str]:
    """The existing files that a checklist names."""
    part = section(page("contributing.md"), heading).split("Existing files", 1)[1]
    return re.findall(r"^- `([^`]+)`", part, re.MULTILINE)


def spelled(names: set[str]) -> Iterator[tuple[str, int]]:
    """Where the product spells one of the names: file and line."""
    for path in product_files():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and node.value in names:
                yield str(path.relative_to(ROOT)), node.lineno


@pytest.mark.parametrize("heading", ["## Adding an engine", "## Adding a step kind"])
def test_few_existing_files_change_and_all_of_them_are_there(heading: str) -> None:
    files = listed(heading)
    assert 0 < len(files) <= EXISTING_MAX
    assert [name for name in files if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize(
    ("names", "own", "heading"),
    [
        (set(ENGINES), OF_ENGINES, "## Adding an engine"),
        (set(BUILT_IN), OF_KINDS, "## Adding a step kind"),
    ],
)
def test_no_other_file_of_the_product_names_one(names: set[str], own: re.Pattern[str], heading: str) -> None:
    allowed = {*listed(heading), *ELSEWHERE}
    found = {f"{file}:{line}" for file, line in spelled(names) if file not in allowed and not own.fullmatch(file)}
    assert not found, "a table that a new one would have to join as well: let it read the registry instead"


def test_every_exception_still_is_one() -> None:
    found = {file for file, _ in spelled({*ENGINES, *BUILT_IN})}
    assert not ELSEWHERE.keys() - found
