"""The rules between packages: who may import what. Unlisted is forbidden.

The table decides; a change of it is a change of the architecture. The standard library is open to every package but
the pure ones, which may use its value modules only: nothing in them can wait, write, or ask the time.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Modules of values: no clock, no chance, no input, no output.
VALUES = re.compile(
    "__future__|abc|bisect|collections|contextlib|dataclasses|decimal|enum|fractions|functools|hashlib|heapq|itertools|json"
    "|math|numbers|operator|re|string|struct|textwrap|types|typing|unicodedata"
)
PURE = ("controlplane.core", "agentd.core", "agentd.proof")
# Names that read a clock, or reach outside, without an import that shows it.
IMPURE_CALLS = frozenset({"now", "utcnow", "today", "open", "input", "print", "eval", "exec", "__import__"})

CONTRACT = "haulier.v1 google.protobuf"
# Each side, and the one that it must not know.
SIDES = {"controlplane": "agentd", "agentd": "controlplane"}
# What a package may import besides itself and the standard library. The longest matching name counts.
PACKAGES = {
    "controlplane": "",
    "controlplane.core": "",
    "controlplane.store": "controlplane.core",
    "controlplane.store.sqlite": "controlplane.durable controlplane.core controlplane.store pysqlite3 sqlite_utils",
    "controlplane.manifests": f"controlplane.core {CONTRACT} pydantic pydantic_core yaml",
    "controlplane.identity": "controlplane.durable controlplane.core cryptography argon2",
    "controlplane.service": "controlplane.durable controlplane.core controlplane.store.port controlplane.store.verbs"
    " controlplane.manifests controlplane.identity",
    # Signing and verifying releases; the same files serve the `haulier release` command and the control plane.
    "controlplane.releases": "controlplane.durable controlplane.core.versions tuf securesystemslib cryptography"
    " zstandard",
    # A pass is one transaction, and a servicer must tell a failed store from a bug: they know the port, never a store.
    "controlplane.loops": "controlplane.durable controlplane.core controlplane.service controlplane.store.port"
    " controlplane.store.verbs",
    "controlplane.rpc": "controlplane.core controlplane.service controlplane.identity controlplane.releases"
    # What is shown is what the store tells: its read models, and a store that failed.
    " controlplane.store.port.StoreFailed controlplane.store.verbs"
    f" {CONTRACT} grpc grpc_health grpc_reflection",
    # Whoever verifies the audit log computes with the same pure functions as whoever made it, and checks signatures.
    "controlplane.cli": "controlplane.durable controlplane.manifests controlplane.releases controlplane.core"
    f" controlplane.identity.audit_key {CONTRACT} grpc typer rich yaml",
    "controlplane.config": "pydantic yaml",
    "controlplane.host": "",
    "agentd": "",
    "agentd.core": "",
    "agentd.disk": "",
    "agentd.installation": "",
    "agentd.processes": "",
    "agentd.proof": "pyarrow",
    "agentd.journal": "agentd.core agentd.disk sqlite_utils",
    "agentd.link": f"agentd.disk agentd.installation.own_python agentd.core {CONTRACT} grpc cryptography",
    # What a release brings lies in its tree.
    # It knows which engines there are, and nothing of what they do.
    "agentd.policy": "agentd.core agentd.datastores.engines agentd.datastores.port.engine"
    " agentd.installation.release_tree yaml",
    "agentd.config": "agentd.core agentd.link.proxies agentd.policy agentd.installation.release_tree yaml",
    "agentd.sensors": "agentd.core psutil",
    "agentd.supervision": "agentd.core watchfiles",
    # The agent's part of an upgrade: between its core, the wire, and what the updater leaves.
    "agentd.upgrading": f"agentd.config agentd.core agentd.disk agentd.link agentd.supervision.watch {CONTRACT} grpc",
    # Runs in the updater's process only, never in the daemon's. It looks at the agent from outside, by its socket, its
    # process and its host's policy.
    "agentd.updater": "agentd.core agentd.disk agentd.policy agentd.processes.identity"
    " agentd.supervision.status_socket tuf securesystemslib zstandard",
    "agentd.isolation": "agentd.core agentd.policy agentd.processes",
    "agentd.runner": "agentd.installation.own_python agentd.disk agentd.core agentd.isolation agentd.journal"
    " agentd.policy agentd.processes psutil",
    "agentd.datastores": f"agentd.proof agentd.disk {CONTRACT} pyarrow duckdb psycopg sqlite_utils pysqlite3",
    "agentd.executors": f"agentd.disk agentd.datastores agentd.proof {CONTRACT} pyarrow duckdb",
    # Where the host's policy meets what a step is told, and where it becomes the kernel's.
    "agentd.enforcement": "agentd.policy agentd.disk agentd.executors agentd.datastores agentd.isolation"
    f" agentd.processes agentd.runner {CONTRACT}",
    "agentd.checks": "agentd.config agentd.datastores agentd.enforcement agentd.executors agentd.installation"
    f" agentd.isolation agentd.policy agentd.runner {CONTRACT}",
    "agentd.selftest": "agentd.config agentd.core agentd.datastores agentd.executors agentd.installation agentd.journal"
    f" agentd.link agentd.policy agentd.proof {CONTRACT} pyarrow",
}
# Composition roots know their whole side, and whatever libraries it takes to start it.
ROOTS = {
    "controlplane.serve": "controlplane",
    "controlplane.__main__": "controlplane",
    "controlplane.admin.init": "controlplane",
    "controlplane.admin.offline_audit": "controlplane",
    "controlplane.admin.backup": "controlplane",
    "controlplane.admin.restore": "controlplane",
    "controlplane.admin.check": "controlplane",
    "agentd.daemon": "agentd",
    "agentd.__main__": "agentd",
    "agentd.updater.main": "agentd.core agentd.disk agentd.updater",
    "agentd.runnerhost": "agentd.runner agentd.executors agentd.datastores agentd.proof agentd.policy haulier.v1"
    " agentd.enforcement agentd.installation agentd.disk agentd.isolation",
}


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of everything imported, inside functions too; `from a import b` counts as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in line {node.lineno}"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def is_below(name: str, prefixes: list[str]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def room_of(module: str) -> str:
    return max((package for package in PACKAGES if is_below(module, [package])), key=len)


def is_foreign(name: str) -> bool:
    top = name.partition(".")[0]
    return top not in ("controlplane", "agentd", "haulier", "tests") and top not in sys.stdlib_module_names


def is_allowed(module: str, name: str) -> bool:
    if module in ROOTS:
        return is_below(name, ROOTS[module].split()) or is_foreign(name) or is_standard(name)
    package = room_of(module)
    if is_standard(name):
        return not is_below(module, list(PURE)) or VALUES.fullmatch(name.partition(".")[0]) is not None
    if package in ("controlplane", "agentd"):
        # A file of no listed package: it may know itself only.
        return is_below(name, [module])
    return is_below(name, [package, *PACKAGES[package].split()])


def is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


def product_files() -> list[Path]:
    return sorted(each for side in SIDES for each in (ROOT / side).rglob("*.py"))


def test_every_import_stays_within_its_rules() -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in product_files()
        for line, name in imports_in(ast.parse(path.read_text()))
        if not is_allowed(module_of(path), name)
    ]
    assert not broken, "imports that the table of packages does not list:\n" + "\n".join(broken)


def test_no_file_imports_itself_by_way_of_others() -> None:
    files = {module_of(path): path for path in product_files()}
    imports = {
        module: {
            name if name in files else name.rpartition(".")[0] for _, name in imports_in(ast.parse(path.read_text()))
        }
        for module, path in files.items()
    }
    # What imports nothing that is left is taken away, until nothing changes. The rest is in a cycle, or imports one.
    left = {module: {name for name in names if name in files and name != module} for module, names in imports.items()}
    while free := {module for module, names in left.items() if not names & left.keys()}:
        left = {module: names for module, names in left.items() if module not in free}
    assert not left, f"these import one another in a circle, or a file in one: {sorted(left)}"


def test_the_root_of_the_agent_holds_composition_roots_only() -> None:
    files = {path.stem for path in (ROOT / "agentd").glob("*.py")} - {"__init__"}
    assert files == {name.removeprefix("agentd.") for name in ROOTS if re.fullmatch(r"agentd\.\w+", name)}
    assert files == {"__main__", "daemon", "runnerhost"}, "a new file belongs to the package of its subject"


def test_the_pure_layers_call_nothing_impure() -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{node.lineno} calls {called}()"
        for path in product_files()
        if is_below(module_of(path), list(PURE))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        for called in [node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")]
        if called in IMPURE_CALLS
    ]
    assert not broken, "\n".join(broken)


def test_nobody_loads_a_second_sqlite() -> None:
    """Two copies of the library in one process drop each other's locks on a file that both have open."""
    broken = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in [*product_files(), *sorted((ROOT / "tests").rglob("*.py"))]
        for line, name in imports_in(ast.parse(path.read_text()))
        if is_below(name, ["sqlite3", "_sqlite3", "aiosqlite"])
    ]
    assert not broken, "import pysqlite3, or go through sqlite_utils, instead:\n" + "\n".join(broken)


def test_neither_side_knows_the_other() -> None:
    """They ship apart, so an import would break whoever has only one of them. What they share is the contract."""
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in product_files()
        for line, name in imports_in(ast.parse(path.read_text()))
        if is_below(name, [SIDES[path.relative_to(ROOT).parts[0]], "tests"])
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("table", [PACKAGES, ROOTS], ids=["packages", "roots"])
def test_the_table_lets_neither_side_know_the_other(table: dict[str, str]) -> None:
    assert not [
        f"{package} may import {name}"
        for package, names in table.items()
        for name in names.split()
        if is_below(name, [SIDES[package.partition(".")[0]]])
    ]


@pytest.mark.parametrize(
    ("module", "name", "is_fine"),
    [
        ("controlplane.core.steps.leasing", "dataclasses.dataclass", True),
        ("controlplane.core.steps.leasing", "controlplane.core.model.Step", True),
        ("controlplane.core.steps.leasing", "time.monotonic", False),
        ("controlplane.core.steps.leasing", "controlplane.corelike.x", False),
        ("controlplane.core.steps.leasing", "datetime.datetime", False),
        ("controlplane.service.leases", "controlplane.store.port.Store", True),
        ("controlplane.service.leases", "controlplane.store.sqlite.store", False),
        ("controlplane.service.leases", "haulier.v1.agent_pb2", False),
        ("controlplane.serve", "controlplane.store.sqlite.store", True),
        ("controlplane.serve", "agentd.proof.digests", False),
        ("controlplane.cli.main", "agentd.proof.digests", False),
        ("controlplane.cli.main", "haulier.v1.operator_pb2", True),
        ("controlplane.cli.main", "agentd.core.agent", False),
        ("controlplane.rpc.agents.servicer", "agentd.proof.digests", False),
        ("controlplane.new_room.file", "controlplane.core.model", False),
        ("agentd.daemon", "agentd.link.client", True),
        ("agentd.daemon", "controlplane.core.model", False),
        ("agentd.runnerhost", "agentd.link.client", False),
        ("agentd.proof.digests", "os.path", False),
    ],
)
def test_the_rules_themselves_stand(module: str, name: str, is_fine: bool) -> None:
    assert is_allowed(module, name) is is_fine
