"""The walls between rooms: who may import what. Unlisted is forbidden.

The table is the law; a change of it is a change of the architecture. The standard library is open to every room but
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
# What a room may import besides itself and the standard library. The longest matching name counts.
ROOMS = {
    "controlplane": "",
    "controlplane.core": "",
    "controlplane.store": "controlplane.core",
    "controlplane.store.sqlite": "controlplane.durable controlplane.core controlplane.store pysqlite3 sqlite_utils",
    "controlplane.manifests": f"controlplane.core {CONTRACT} pydantic pydantic_core yaml",
    "controlplane.identity": "controlplane.durable controlplane.core cryptography argon2",
    "controlplane.service": "controlplane.durable controlplane.core controlplane.store.port controlplane.manifests"
    " controlplane.identity",
    # Signing and verifying releases; the same files serve the `haulier release` command and the control plane.
    "controlplane.releases": "controlplane.durable controlplane.core.versions tuf securesystemslib cryptography"
    " zstandard",
    # A pass is one transaction, and a door must tell a failed store from a bug: they know the port, never a store.
    "controlplane.loops": "controlplane.core controlplane.service controlplane.store.port",
    "controlplane.rpc": "controlplane.core controlplane.service controlplane.identity controlplane.releases"
    " controlplane.store.port.StoreFailed"
    f" {CONTRACT} grpc grpc_health grpc_reflection",
    # Whoever verifies the audit log computes with the same pure functions as whoever made it, and checks signatures.
    "controlplane.cli": "controlplane.durable controlplane.manifests controlplane.releases controlplane.core"
    f" controlplane.identity.audit_key {CONTRACT} grpc typer rich yaml",
    "controlplane.config": "pydantic yaml",
    "controlplane.host": "",
    "agentd": "",
    "agentd.core": "",
    "agentd.journal": "agentd.durable agentd.core agentd.room sqlite_utils",
    "agentd.link": f"agentd.durable agentd.own_python agentd.core {CONTRACT} grpc cryptography",
    # What a release brings lies in its tree.
    "agentd.policy": "agentd.core agentd.release_tree yaml",
    "agentd.config": "agentd.core agentd.link.proxies agentd.policy agentd.release_tree yaml",
    # Runs in the updater's process only, never in the daemon's.
    # The updater looks at the agent from outside, by its socket, its process and its host's policy.
    "agentd.upgrade": "agentd.durable agentd.core agentd.policy agentd.runner.identity agentd.status_socket"
    " tuf securesystemslib zstandard",
    "agentd.selftest": "agentd.config agentd.core agentd.datastores agentd.executors agentd.journal agentd.link"
    f" agentd.policy agentd.proof agentd.release_tree {CONTRACT} pyarrow",
    "agentd.sensors": "agentd.core psutil",
    "agentd.http_probes": "agentd.readiness",
    # The agent's part of an upgrade: between its core, the wire, and what the updater leaves.
    "agentd.carrying": "agentd.config agentd.core agentd.link agentd.watch",
    "agentd.vital_signs": "agentd.service_notices",
    "agentd.unit_drop_in": "agentd.durable agentd.policy",
    "agentd.watch": "agentd.core watchfiles",
    "agentd.runner": "agentd.durable agentd.own_python agentd.room agentd.core agentd.journal agentd.policy psutil",
    "agentd.proof": "pyarrow",
    "agentd.datastores": f"agentd.durable agentd.proof agentd.room {CONTRACT} pyarrow duckdb psycopg"
    " sqlite_utils pysqlite3",
    "agentd.executors": f"agentd.durable agentd.room agentd.datastores agentd.proof {CONTRACT} pyarrow duckdb",
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
    "agentd.updater": "agentd",
    "agentd.runnerhost": "agentd.runner agentd.executors agentd.datastores agentd.proof agentd.policy haulier.v1"
    " agentd.allowing agentd.enclosing agentd.program_door agentd.release_tree agentd.room",
    "agentd.program_door": "agentd.datastores agentd.executors agentd.policy agentd.runner",
    # Where the host's law meets what a step is told, and where it becomes the kernel's.
    "agentd.allowing": "agentd.policy agentd.executors agentd.datastores haulier.v1",
    "agentd.law_check": "agentd.allowing agentd.datastores agentd.executors agentd.policy agentd.program_door"
    " agentd.release_tree agentd.runner haulier.v1",
    "agentd.settings_check": "agentd.config agentd.policy agentd.release_tree agentd.unit_drop_in",
    "agentd.enclosing": "agentd.allowing agentd.policy agentd.runner",
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
    return max((room for room in ROOMS if is_below(module, [room])), key=len)


def is_foreign(name: str) -> bool:
    top = name.partition(".")[0]
    return top not in ("controlplane", "agentd", "haulier", "tests") and top not in sys.stdlib_module_names


def is_allowed(module: str, name: str) -> bool:
    if module in ROOTS:
        return is_below(name, ROOTS[module].split()) or is_foreign(name) or is_standard(name)
    room = room_of(module)
    if is_standard(name):
        return not is_below(module, list(PURE)) or VALUES.fullmatch(name.partition(".")[0]) is not None
    if room in ("controlplane", "agentd"):
        # A file of no listed room: it may know itself only.
        return is_below(name, [module])
    return is_below(name, [room, *ROOMS[room].split()])


def is_standard(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names


def product_files() -> list[Path]:
    return sorted(each for side in SIDES for each in (ROOT / side).rglob("*.py"))


def test_every_import_stays_within_its_walls() -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in product_files()
        for line, name in imports_in(ast.parse(path.read_text()))
        if not is_allowed(module_of(path), name)
    ]
    assert not broken, "imports that the table of rooms does not list:\n" + "\n".join(broken)


def test_the_pure_rooms_call_nothing_impure() -> None:
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


@pytest.mark.parametrize("table", [ROOMS, ROOTS], ids=["rooms", "roots"])
def test_the_table_lets_neither_side_know_the_other(table: dict[str, str]) -> None:
    assert not [
        f"{room} may import {name}"
        for room, names in table.items()
        for name in names.split()
        if is_below(name, [SIDES[room.partition(".")[0]]])
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
        ("controlplane.rpc.agents.door", "agentd.proof.digests", False),
        ("controlplane.new_room.file", "controlplane.core.model", False),
        ("agentd.daemon", "agentd.link.client", True),
        ("agentd.daemon", "controlplane.core.model", False),
        ("agentd.runnerhost", "agentd.link.client", False),
        ("agentd.proof.digests", "os.path", False),
    ],
)
def test_the_walls_themselves_stand(module: str, name: str, is_fine: bool) -> None:
    assert is_allowed(module, name) is is_fine
