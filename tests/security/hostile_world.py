"""One agent with a policy, canaries all around it, and a control plane that the test owns."""

import asyncio
import contextlib
import hashlib
import os
import shutil
import socket
import sys
import sysconfig
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
from haulier.v1 import agent_pb2 as pb
from haulier.v1 import kinds_pb2 as k
from sqlite_utils import Database

from tests.integration.agentd.listener import Listener
from tests.integration.agentd.world import World

CANARY = "canary-7f3b9d51c2e84a60"
PASSWORD = "canary-password-90ce1f27ab"
VARIABLE = "HAULIER_HOSTILE_CANARY"
NOBODY = 65534
ROWS = "id,note\n1,one\n2,two\n"
COLUMNS = [
    k.Column(name="id", type=k.COLUMN_TYPE_INT64),
    k.Column(name="note", type=k.COLUMN_TYPE_TEXT),
]
CONFIG = 'policy = "policy.toml"\nslots = 3\nstop_grace_s = 1\ndrain_on_stop_s = 0\n'


@dataclass(slots=True)
class Rogue:
    """A database server of the enemy's: it asks for a password and keeps what it is told."""

    port: int = 0
    told: list[bytes] = field(default_factory=list)
    _listener: socket.socket | None = None

    def listen(self) -> None:
        """Begin to serve, on a thread."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            while data := connection.recv(65536):
                self.told.append(data)
                is_tls_request = data[4:8] == bytes.fromhex("04d2162f")
                # No encryption here; and the password as it is, please.
                connection.sendall(b"N" if is_tls_request else b"R\0\0\0\x08\0\0\0\x03")

    def close(self) -> None:
        """Serve no more."""
        if self._listener is not None:
            self._listener.close()


class HostileListener(Listener):
    """A listener that keeps every byte that the agent ever said."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(**fields)
        self.heard = bytearray()

    async def Session(self, requests: Any, context: Any) -> Any:  # noqa: N802 - named by the contract
        async for answer in super().Session(self._tapped(requests), context):
            yield answer

    async def Logs(self, requests: Any, context: Any) -> Any:  # noqa: N802 - named by the contract
        async for answer in super().Logs(self._tapped(requests), context):
            yield answer

    async def _tapped(self, requests: Any) -> AsyncIterator[Any]:
        async for message in requests:
            self.heard += message.SerializeToString()
            yield message


class HostileWorld(World):
    """`root` is all that the policy allows; `outside` is full of canaries; `rogue` waits for a password."""

    def __init__(self, directory: Path, listener: HostileListener, uid: int) -> None:
        super().__init__(directory, listener)
        self.heard = listener.heard
        self.uid = uid
        self.root = directory / "root"
        self.outside = directory / "outside"
        self.rogue = Rogue()
        self.marker = self.root / "lake" / "ran"

    def fill(self) -> None:
        """Make data, canaries, links and the policy."""
        for name in ("exports", "staging", "lake", "files", "kept", "important/data"):
            (self.root / name).mkdir(parents=True)
        (self.root / "important" / "data" / "ledger.csv").write_text(ROWS)
        (self.root / "exports" / "readings.csv").write_text(ROWS)
        (self.root / "kept" / "readings.csv").write_text(ROWS)
        os.mkfifo(self.root / "exports" / "pipe.csv")
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(self.root / "exports" / "socket.csv"))
        self._fill_outside()
        self._link()
        self.rogue.listen()
        self.policy.write_text(self._policy_text())
        self.config.write_text(CONFIG)

    def _fill_outside(self) -> None:
        (self.outside / "deep").mkdir(parents=True)
        secret = f"id,note\n1,{CANARY}\n"
        for name in ("secret.csv", "readings.csv", "deep/secret.csv"):
            (self.outside / name).write_text(secret)
        with contextlib.closing(Database(self.outside / "secret.db")) as database:
            database["things"].insert({"id": 1, "note": CANARY})  # type: ignore[union-attr]
        with duckdb.connect(str(self.outside / "secret.duckdb")) as connection:
            connection.execute(f"CREATE TABLE things AS SELECT 1 AS id, '{CANARY}' AS note")
            connection.execute(f"COPY things TO '{self.outside / 'secret.parquet'}'")
        (self.outside / "password").write_text(PASSWORD)
        (self.outside / "password").chmod(0o600)

    def _link(self) -> None:
        """Links that lead out, at every place where a path could have one."""
        links = {"link": self.outside, "chain": Path("link"), "up": Path(".."), "exports/link": self.outside}
        links |= {f"exports/{name}": self.outside / name for name in ("secret.csv",)}
        links |= {"exports/proc.csv": Path("/proc/self/environ"), "exports/zero.csv": Path("/dev/zero")}
        links |= {f"files/{name}": self.outside / name for name in ("secret.db", "secret.duckdb")}
        links |= {
            "staging/out": self.outside,
            "lake/out": self.outside,
            "lake/out.parquet": self.outside / "new.parquet",
        }
        for name, to in links.items():
            (self.root / name).symlink_to(to)

    def _policy_text(self) -> str:
        program = self.directory / "say"
        program.write_text(f'#!/bin/sh\ntouch "{self.marker}"\necho "said $1"\n')
        digest = hashlib.sha256(program.read_bytes()).hexdigest()
        root = self.root
        return f"""kinds = ["*"]
roots = ["{root}"]
run_s_max = 60
file_bytes_max = 100000000
written_bytes_max = 400000000
[datastores.exports]
engine = "csv"
paths = ["{root}/exports", "{root}/real"]
access = "read"
[datastores.staging]
engine = "parquet"
[datastores.lake]
engine = "parquet"
[datastores.files]
[datastores.kept]
engine = "csv"
deletes = "refuse"
[datastores.warehouse]
engine = "postgresql"
hosts = ["db.invalid"]
databases = ["warehouse"]
users = ["haulier"]
sslmode = "require"
secrets = ["file:{self.outside}/password"]
[datastores.open]
engine = "postgresql"
hosts = ["127.0.0.1"]
ports = [{self.rogue.port}]
databases = ["warehouse"]
users = ["haulier"]
[programs.say]
path = "{program}"
sha256 = "{digest}"
arguments = ["{{word}}"]
safe_to_repeat = "it only speaks"
undo = ""
writes = ["{root}/lake"]
[programs.say.values]
word = {{type = "text", pattern = "[a-z ;$()-]+"}}
"""

    def belong_to_user(self) -> None:
        """Give everything to the user that the agent runs as."""
        for directory, names, files in os.walk(self.directory):
            for path in (Path(directory), *(Path(directory) / name for name in (*names, *files))):
                os.chown(path, self.uid, self.uid, follow_symlinks=False)

    # What is honest.

    def exports(self) -> k.Datastore:
        """The source."""
        return k.Datastore(name="exports", csv=k.CsvStore(root=str(self.root / "exports")))

    def staging(self) -> k.Datastore:
        """Where parts go."""
        return k.Datastore(name="staging", parquet=k.ParquetStore(root=str(self.root / "staging")))

    def lake(self) -> k.Datastore:
        """The destination."""
        return k.Datastore(name="lake", parquet=k.ParquetStore(root=str(self.root / "lake")))

    def source(self, found: str = "readings.csv", store: k.Datastore | None = None) -> k.DatasetLocation:
        """A dataset at the source."""
        return k.DatasetLocation(dataset="d", datastore=store or self.exports(), object=found, columns=COLUMNS)

    async def honest(self, attempt_id: str) -> k.Staged:
        """An extract that must work, whatever came before."""
        params = k.ExtractParams(source=self.source(), staging=self.staging())
        await self.listener.grant(attempt_id, "extract", params.SerializeToString(), fence=1)
        told = await self.listener.result(attempt_id)
        assert told.outcome == pb.ATTEMPT_OUTCOME_SUCCEEDED, f"{told}\n{self.log_text()[-2000:]}"
        return k.ExtractResult.FromString(told.result).output


def command_as(uid: int) -> list[str]:
    """What runs a command as another user; nothing for our own."""
    if uid == os.geteuid():
        return []
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all"]


def interpreter_for(uid: int) -> tuple[str, list[str]] | None:
    """An interpreter that the user can run and what it needs on its path; None where there is none."""
    if uid == os.geteuid():
        return sys.executable, []
    if shutil.which("setpriv") is None:
        return None
    for found in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        reachable = all(parent.stat().st_mode & 0o001 for parent in Path(found).resolve().parents)
        if Path(found).exists() and reachable:
            return found, [sysconfig.get_path("purelib")]
    return None


@contextlib.asynccontextmanager
async def hostile_world(directory: Path, uid: int) -> AsyncIterator[HostileWorld]:
    """The agent runs as `uid` until the end of the block."""
    found = interpreter_for(uid)
    assert found is not None
    interpreter, libraries = found
    listener = HostileListener(heartbeat_s=0.5)
    # A thousand refusals are journalled in between.
    listener.wait_s = 120.0
    await listener.start()
    it = HostileWorld(directory, listener, uid)
    await asyncio.to_thread(it.fill)
    listener.write_state(it.state)
    it.use_installed_kinds(*command_as(uid), interpreter=interpreter)
    it.python_path += libraries
    await asyncio.to_thread(it.belong_to_user)
    await it.start_agent(**{VARIABLE: CANARY})
    try:
        yield it
    finally:
        it.rogue.close()
        await it.end()
        await listener.stop()
