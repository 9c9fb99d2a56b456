"""Writes docs/errors.md: the codes of failures, and every refusal of the product with its remedy, read in the source.

python packaging/errors_page.py
"""

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODES = ROOT / "docs" / "failure-codes.toml"
PAGE = ROOT / "docs" / "errors.md"

# Who says it, by where it is said. The first that matches counts.
SIDES = (
    ("Why a step waits", r"controlplane/core/steps/reasons"),
    ("Manifests", r"controlplane/manifests/"),
    ("The command line", r"controlplane/cli/"),
    ("Releases and their keys", r"controlplane/releases/"),
    ("The control plane's own program", r"controlplane/([a-z_]+\.py|admin/|host/)"),
    ("Calls to the control plane", r"controlplane/"),
    ("The policy of a host", r"agentd/(policy/|enforcement/|checks/policy_check)"),
    ("Upgrades, and the updater", r"agentd/(updater/|upgrading/|checks/settings_check)"),
    ("The agent's own program", r"agentd/([a-z_]+\.py|config/|installation/|supervision/|link/|journal/)"),
    ("Steps on agents", r"agentd/"),
)

# What a person is told by, where it is not an exception: class or function → its parameters in order.
TELLERS = {
    "Problem": ("field", "message", "hint"),
    "Finding": ("path", "line", "column", "field", "message", "hint"),
    "Hold": ("code", "message", "hint"),
    "Failure": ("code", "message", "hint"),
    "_Known": ("code", "hint"),
    "refusal": ("message", "hint"),
    "no_room": ("doing", "path", "needed"),
}
# Signals between parts of a program: whoever catches them says it in words of its own.
UNTOLD = frozenset({"_Found", "_DryRun", "StopAsked", "_HostGone", "InvalidTransition", "MissingTile", "OtherLife"})
_MESSAGES = ("message", "what", "why", "because")
_HINTS = ("hint", "lifted_by")
GAP = "…"


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """Something that the product says to a person; `…` stands for what is known only when it is said."""

    message: str
    hint: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class FailureCode:
    """Codes that mean the same to a person."""

    codes: tuple[str, ...]
    meaning: str
    remedy: str


def failure_codes() -> tuple[FailureCode, ...]:
    """The registry of the codes with which a step can fail."""
    rows = tomllib.loads(CODES.read_text(encoding="utf-8"))["failure"]
    return tuple(FailureCode(tuple(row["codes"]), row["meaning"], row["remedy"]) for row in rows)


@cache
def sources() -> tuple[tuple[str, ast.Module], ...]:
    """Every module of the product: its path from the root, and its tree."""
    paths = [path for package in ("agentd", "controlplane") for path in sorted((ROOT / package).rglob("*.py"))]
    return tuple((path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in paths)


def refusals() -> dict[str, list[Refusal]]:
    """Side → what it may say."""
    modules = sources()
    parameters = {**_exceptions(tree for _, tree in modules), **TELLERS}
    found: dict[str, set[Refusal]] = defaultdict(set)
    for path, tree in modules:
        side = next(name for name, pattern in SIDES if re.match(pattern, path))
        here = _parameters_here(path, tree, parameters)
        outer, *functions = _scopes(tree)
        constants = _assigned(outer)
        for scope in (outer, *functions):
            found[side].update(_said_in(scope, here, {**constants, **_assigned(scope)}))
    return {side: sorted(found[side]) for side, _ in SIDES}


def _exceptions(trees: Iterable[ast.Module]) -> dict[str, tuple[str, ...]]:
    """The product's exceptions: name → parameters, in order."""
    classes = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    found: dict[str, tuple[str, ...]] = {}
    grown = True
    while grown:
        grown = False
        for node in classes:
            bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
            above = next((base for base in bases if base in found or re.search(r"(Exception|Error)$", base)), None)
            if node.name in found or node.name in UNTOLD or above is None:
                continue
            found[node.name] = _parameters(node) or found.get(above, ("message",))
            grown = True
    return found


def _parameters(node: ast.ClassDef) -> tuple[str, ...]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and each.name == "__init__":
            return tuple(argument.arg for argument in each.args.args[1:])
    return ()


def _parameters_here(
    path: str, tree: ast.Module, parameters: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    """The parameters as a module means them: some names stand for another thing elsewhere."""
    imported = {
        alias.name: node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    of_the_command_line = (
        path == "controlplane/cli/screen/problems.py" or imported.get("Problem") == "controlplane.cli.screen.problems"
    )
    here = dict(parameters)
    if of_the_command_line:
        here["Problem"] = ("message",)
    if path.startswith("controlplane/"):
        here["Refused"] = ("because",)
    return here


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    """What stands outside of functions and classes, then every function."""
    named = ast.FunctionDef | ast.AsyncFunctionDef
    yield ast.Module([each for each in tree.body if not isinstance(each, named | ast.ClassDef)], [])
    yield from (node for node in ast.walk(tree) if isinstance(node, named))


def _assigned(scope: ast.AST) -> dict[str, ast.expr]:
    """Names that are given one value in this scope, and its value."""
    given: dict[str, list[ast.expr]] = defaultdict(list)
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            target, value = node.targets[0], node.value
            pairs = [(target, value)]
            if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
                pairs = list(zip(target.elts, value.elts, strict=False))
            for name, each in pairs:
                if isinstance(name, ast.Name):
                    given[name.id].append(each)
    return {name: values[0] for name, values in given.items() if len(values) == 1}


def _said_in(
    scope: ast.AST, parameters: Mapping[str, tuple[str, ...]], known: Mapping[str, ast.expr]
) -> Iterator[Refusal]:
    for node in ast.walk(scope):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called == "no_such":
            yield _no_such(node, known)
            continue
        if called not in parameters:
            continue
        given = dict(zip(parameters[called], node.args, strict=False))
        given |= {word.arg: word.value for word in node.keywords if word.arg}
        message = next((words(given[name], known) for name in _MESSAGES if name in given), "")
        hint = next((words(given[name], known) for name in _HINTS if name in given), "")
        code = words(given["code"], known) if "code" in given and called != "Problem" else ""
        if _telling(message) or (_telling(hint) and called == "_Known"):
            message, _, below = message.partition("\nhint: ")
            yield Refusal(message or GAP, below or (hint if hint != GAP else ""), code if code != GAP else "")


def _no_such(node: ast.Call, known: Mapping[str, ast.expr]) -> Refusal:
    what, see = words(node.args[0], known), words(node.args[3], known)
    return Refusal(f"there is no {what} {GAP}", f"see `{see}`")


def _telling(text: str) -> bool:
    """Tell a text from one that only passes on what another said."""
    return len(re.findall(r"[^\W\d_]{2,}", text)) >= 2


def words(node: ast.expr, known: Mapping[str, ast.expr], depth: int = 0) -> str:
    """The text of an expression, with `…` for what is known only when it runs."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else GAP
    if isinstance(node, ast.JoinedStr):
        return "".join(words(each, known, depth) for each in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return words(node.left, known, depth) + words(node.right, known, depth)
    if isinstance(node, ast.IfExp | ast.Call):
        ways = [words(way, known, depth) for way in _ways(node)]
        telling = [way for way in ways if _telling(way)]
        return " / ".join(telling) if telling else GAP
    if isinstance(node, ast.Name) and node.id in known and depth < 3:
        text = words(known[node.id], known, depth + 1)
        return text if _telling(text) else GAP
    return GAP


def _ways(node: ast.IfExp | ast.Call) -> list[ast.expr]:
    """What an expression chooses from: by a condition, or by a key of a table."""
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    chosen = node.func.value if isinstance(node.func, ast.Attribute) and node.func.attr == "get" else None
    return [*chosen.values, *node.args[1:]] if isinstance(chosen, ast.Dict) else []


# ---- Writing


HEAD = """\
# Errors and their remedies

Generated from [failure-codes.toml](failure-codes.toml) and from the source by `make errors-page`: whatever the programs
can say is here. `…` stands for the name, number or path that a message has in its place. Exit codes are in
[cli.md](cli.md), the codes by which a host refuses a release in [upgrades.md](upgrades.md), and what to do when
something is stuck in [operations.md](operations.md).

## Failures of steps, by code

`haulier migration get` shows the code in brackets, with a hint. *By itself* means that the step is tried again.

| code | meaning | remedy |
|---|---|---|
"""


def page() -> str:
    """The whole page."""
    lines = []
    for each in failure_codes():
        lines.append(f"| {', '.join(f'`{code}`' for code in each.codes)} | {each.meaning} | {each.remedy} |")
    text = HEAD + "\n".join(lines) + "\n"
    for side, said in refusals().items():
        if said:
            text += f"\n## {side}\n\n| message | remedy |\n|---|---|\n"
            text += "".join(f"| {_cell(each)} | {_escaped(each.hint)} |\n" for each in said)
    return text


def _cell(refusal: Refusal) -> str:
    code = f" (`{refusal.code}`)" if re.fullmatch(r"[a-z_]+", refusal.code) else ""
    return _escaped(refusal.message) + code


def _escaped(text: str) -> str:
    """For a cell of a table: one line, and nothing in it that Markdown takes for itself."""
    text = re.sub(rf"{GAP}(\s*{GAP})+", GAP, " ".join(text.split()))
    return re.sub(r"([|<\[*])", r"\\\1", text)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
