"""House rules that a reader would otherwise have to repeat in every review."""

import ast
import itertools
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 60
POSITIONAL_MAX = 7
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "managers"}
# Joined here so that this file does not contain them.
LEFT_OVERS = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]) + r")\b")
UNFINISHED = "NotImplemented" + "Error"
UNCOVERED = "pragma:" + " no cover"
BLANKET = re.compile(r"#\s*(type:\s*ignore(?!\[)|noqa(?!:\s*[A-Z]+[0-9]+))")
# Places of one machine, and hosts of package registries: neither belongs into anybody else's checkout.
MACHINE = re.compile(
    r"(?<![\w.}])/(?:" + "|".join(["wo" + "rk", "ro" + "ot", "home/[a-z]+", "Us" + r"ers/\w+"]) + r")(?:/|\b)"
)
REGISTRIES = re.compile(
    "|".join(
        ["py" + r"pi\.org", "python" + r"hosted\.", "registry" + r"\.npmjs", r"deb\." + "debian", "index" + "-url"]
    )
)
WAITLESS = ("tests/unit/", "tests/contract/", "tests/sim/")


@cache
def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, timeout=30)
    return sorted(each for each in listed.stdout.decode().split("\0") if each and (ROOT / each).is_file())


def is_generated(name: str) -> bool:
    return name.startswith("proto/") and "_pb2" in name


def written() -> list[str]:
    """Text files that people write."""
    return [name for name in tracked() if not is_generated(name) and name != "LICENSE" and text_of(name) is not None]


@cache
def text_of(name: str) -> str | None:
    """The text of a tracked file, or None when it holds other bytes."""
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def source(name: str) -> str:
    text = text_of(name)
    assert text is not None
    return text


def python_files() -> list[str]:
    return [name for name in written() if name.endswith(".py")]


def lines_matching(pattern: re.Pattern[str], names: list[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()}"
        for name in names
        for number, line in enumerate(source(name).splitlines(), start=1)
        if pattern.search(line)
    ]


def test_files_are_short_enough_to_read() -> None:
    long = {name: source(name).count("\n") for name in python_files()}
    assert not {name: lines for name, lines in long.items() if lines > FILE_LINES_MAX}


def test_functions_are_short_enough_to_see_whole() -> None:
    long = [
        f"{name}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for name in python_files()
        for node in ast.walk(ast.parse(source(name)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert not long, "\n".join(long)


def test_names_of_files_say_what_is_inside() -> None:
    vague = [name for name in tracked() for part in Path(name).parts if VAGUE_NAMES & words_of(part)]
    assert not vague


def words_of(part: str) -> set[str]:
    return set(re.split(r"[_.-]", part.lower()))


def test_source_roots_are_no_packages() -> None:
    wrong = [name for name in tracked() if re.match(r"(proto|packaging)/(.*/)?__init__\.py$|tests/packaging/", name)]
    assert not wrong


def test_nothing_is_left_for_later() -> None:
    assert not lines_matching(LEFT_OVERS, written())
    assert not lines_matching(re.compile(f"{UNFINISHED}|{UNCOVERED}"), written())


def test_every_silenced_check_says_which() -> None:
    assert not lines_matching(BLANKET, python_files())


def test_package_files_are_docstrings() -> None:
    wrong = [
        name
        for name in python_files()
        if name.endswith("/__init__.py") and not name.startswith("tests/") and not is_docstring(source(name))
    ]
    assert not wrong, "an __init__.py holds a docstring and no code"


def is_docstring(text: str) -> bool:
    tree = ast.parse(text)
    return len(tree.body) == 1 and ast.get_docstring(tree) is not None


def test_imports_have_docstrings() -> None:
    packages = {Path(name).parent for name in python_files() if name.startswith(("controlplane/", "agentd/"))}
    missing = [str(package) for package in sorted(packages) if not (ROOT / package / "__init__.py").is_file()]
    assert not missing


@pytest.mark.parametrize("folder", WAITLESS)
def test_no_test_waits_by_the_clock(folder: str) -> None:
    sleeps = [
        f"{name}:{node.lineno}"
        for name in python_files()
        if name.startswith(folder)
        for node in ast.walk(ast.parse(source(name)))
        if isinstance(node, ast.Call) and is_sleep(node)
    ]
    assert not sleeps, f"wait on a signal or use the given clock: {sleeps}"


def is_sleep(call: ast.Call) -> bool:
    """sleep(0) only lets other coroutines run."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    return name == "sleep" and not (call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0)


def test_no_file_knows_somebodys_machine() -> None:
    assert not lines_matching(MACHINE, written())


def test_no_file_names_a_package_registry() -> None:
    assert not lines_matching(REGISTRIES, written())


@pytest.mark.parametrize(
    ("pattern", "line", "is_found"),
    [
        (LEFT_OVERS, "# TO" + "DO: later", True),
        (LEFT_OVERS, "XXXL = 1", False),
        (BLANKET, "x = y  # type: " + "ignore", True),
        (BLANKET, "x = y  # type: ignore[attr-defined]", False),
        (BLANKET, "x = y  # no" + "qa", True),
        (BLANKET, "x = y  # noqa: BLE001 - why", False),
        (MACHINE, "cd /wo" + "rk/main", True),
        (MACHINE, "path = '/ho" + "me/ada/x'", True),
        (MACHINE, "framework/main", False),
        (MACHINE, "s3://bucket/work/x", False),
        (MACHINE, "{tmp}/work/x", False),
        (REGISTRIES, "https://" + "py" + "pi.org/simple", True),
    ],
)
def test_the_patterns_themselves_find_what_they_should(pattern: re.Pattern[str], line: str, is_found: bool) -> None:
    assert bool(pattern.search(line)) is is_found


def test_a_value_of_many_fields_is_made_by_their_names() -> None:
    """Ten arguments in a row cannot be read, and two of one type can be exchanged unseen."""
    found = [
        f"{name}:{node.lineno} {made}"
        for name in written()
        if name.startswith(("controlplane/", "agentd/")) and name.endswith(".py")
        for node in ast.walk(ast.parse(source(name)))
        if isinstance(node, ast.Call) and len(node.args) > POSITIONAL_MAX
        for made in [node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")]
        if made[:1].isupper()
    ]
    assert not found


# Classes whose attributes are the state of a machine that decides, and names that say all of it.
STATE_CLASSES = {
    "agentd/core/agent.py": "Agent",
    "agentd/core/held.py": "Held",
    "agentd/core/renewing.py": "Renewing",
    "agentd/core/sessions.py": "Sessions",
    "agentd/core/upgrade_requests.py": "Upgrading",
    "agentd/core/witnessing.py": "Witness",
    "agentd/core/release_state.py": "State Probation",
    "controlplane/core/rollouts/model.py": "Rollout RolloutHost",
}
PLAIN = {"id", "agent_id", "identity", "grant", "state", "stage", "phase", "policy", "progress", "upgrading"}
PLAIN |= {"created_at", "stop_detail", "sessions", "witness", "held"}


@pytest.mark.parametrize("name", STATE_CLASSES)
def test_each_attribute_of_a_state_machine_says_what_it_means(name: str) -> None:
    lines, bare = source(name).splitlines(), []
    for made in ast.parse(source(name)).body:
        if not isinstance(made, ast.ClassDef) or made.name not in STATE_CLASSES[name].split():
            continue
        begin = [each for each in made.body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
        for each in [*made.body, *(begin[0].body if begin else [])]:
            targets = [each.target] if isinstance(each, ast.AnnAssign) else getattr(each, "targets", [])
            for target in targets:
                attribute = target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
                above = itertools.takewhile(lambda line: line.startswith("#"), _above(lines, each.lineno))
                if attribute.strip("_") not in PLAIN and not any(line.startswith("#:") for line in above):
                    bare.append(f"{made.name}.{attribute}")
    assert not bare, "say in a line that begins with #: what it means, and when it means nothing"


def _above(lines: list[str], number: int) -> list[str]:
    return [line.strip() for line in reversed(lines[: number - 1])]


def test_no_docstring_only_points_elsewhere() -> None:
    empty = re.compile(r'"""See the (module|class|file)\."""')
    assert not [name for name in written() if name.endswith(".py") and empty.search(source(name))]
