"""What an agent and its updater write: killed or refused at any call, a file is wholly old or wholly new, and what is
done stays done when the power goes. One family of callers each."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import grpc
import pyarrow as pa
import pytest
from haulier.v1 import kinds_pb2 as k
from haulier.v1 import repository_pb2 as pb

from agentd.core.effects import JournalIntent
from agentd.core.grants import Grant, Outcome, OutcomeKind
from agentd.core.release_state import Release, UpdaterState
from agentd.datastores.duckdb.datastore import DuckdbDatastore
from agentd.datastores.duckdb.place import DuckdbPlace
from agentd.datastores.files.csv import CsvDatastore
from agentd.datastores.files.file_log import FileLog
from agentd.datastores.files.parquet import ParquetDatastore
from agentd.datastores.files.places import CsvPlace, ParquetPlace
from agentd.datastores.port.datastore import Input, Location, Writer
from agentd.datastores.port.failures import Fenced
from agentd.executors import leftovers, mounts, staging
from agentd.executors.context import Context
from agentd.journal import mending
from agentd.journal.journal import Contents, Journal
from agentd.link import identity_files
from agentd.link.identity_files import CA, CANDIDATE, CERTIFICATE, IDENTITY, KEY
from agentd.proof.digests import digest_of
from agentd.proof.types import Column, ColumnType
from agentd.runner.attempt_files import AttemptDirectory
from agentd.updater import exchange
from agentd.updater.links import CURRENT, PREVIOUS, point_both
from agentd.updater.links import digest_of as linked
from agentd.updater.memory import Memory
from agentd.updater.settings import UpdaterSettings
from agentd.updater.unpacking import faults_of, unpack
from agentd.updater.verifying import RequestedRelease
from agentd.upgrading import fetching
from tests.kit.failing_disk import Act, hold
from tests.kit.releases import Forge, Host, wanted

COLUMNS = (Column("a", ColumnType.INT64),)
GRANT = Grant("att_1", "step_1", "mig_1", "load", "load", 1, 7, "orders", 60.0, params=b"p")
OUTCOME = Outcome("att_1", 7, OutcomeKind.SUCCEEDED, b"done" * 1000)
OLD, NEW = "a" * 64, "b" * 64


def nothing(home: Path) -> None:
    pass


# The identity.


def lay(place: Path, which: str) -> None:
    for name in (KEY, CERTIFICATE, CA):
        identity_files.save(place, name, f"{which} {name}".encode())
    told = {"agent_id": "ag_1", "name": which, "session_address": "here:1"}
    identity_files.save(place, IDENTITY, json.dumps(told).encode())


def with_candidate(home: Path) -> None:
    lay(home, "old")
    lay(home / CANDIDATE, "new")


def take_candidate(home: Path) -> None:
    # Whoever looks first goes on with a switch that was cut short.
    identity_files.load(home)
    if (home / CANDIDATE).exists():
        identity_files.keep_candidate(home)


def identity(home: Path) -> str:
    found = identity_files.load(home)
    assert {part.split()[0] for part in found.pair()} == {found.name.encode()}, "of two identities"
    return found.name


# The journal.


def a_journal(home: Path) -> None:
    with contextlib.closing(Journal.open(home / "journal.db")) as journal:
        journal.begin_incarnation()
        journal.write([JournalIntent(GRANT)])


def contents(path: Path) -> Contents:
    with contextlib.closing(Journal.open(path)) as journal:
        return journal.contents()


def copied_journal(home: Path) -> int | None:
    return len(contents(home / "copy.db").attempts) if (home / "copy.db").exists() else None


def a_broken_journal(home: Path) -> None:
    a_journal(home)
    mending.copy(home / "journal.db", home / "saved.db")
    (home / "journal.db").write_bytes(b"no journal at all")


def mend(home: Path) -> None:
    mending.mend(home / "journal.db", home / "saved.db", [(GRANT, OUTCOME)], 3)


def mended(home: Path) -> tuple[int, bool] | None:
    try:
        found = contents(home / "journal.db")
    except Exception:  # noqa: BLE001 - it depends on the SQLite library which class says that a file is broken
        return None
    outcomes = [each.outcome for each in found.attempts]
    return None if not outcomes else (len(outcomes), found.incarnation >= 3 and outcomes == [OUTCOME])


# Attempts.


def leave_result(home: Path) -> None:
    AttemptDirectory(home).write_result(OUTCOME)


def result(home: Path) -> Outcome | None:
    return AttemptDirectory(home).read_result()


def context(home: Path) -> Context:
    return Context(
        attempt_id="att_1", step_id="step_1", migration_id="mig_1", number=1, fence=1, target="there", params=b"",
        directory=home / "attempt", places=home / "state" / "places",
    )  # fmt: skip


def a_root(home: Path) -> None:
    (home / "root").mkdir()
    (home / "fences").mkdir()
    (home / "state").mkdir()


def mark_root(home: Path) -> None:
    mounts.require_mounted(context(home), "files", home / "root", marks=True)


def marked(home: Path) -> list[int]:
    places = [json.loads(path.read_text())["marker"] for path in home.glob("state/places/*.json")]
    marker = home / "root" / mounts.MARKER
    assert not places or places == [marker.read_text().strip()]
    return [len(each) for each in places]


def stage(home: Path) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(range(1000))], names=["a"])
    store = k.Datastore(name="staging", parquet=k.ParquetStore(root=str(home / "root")))
    staging.stage(context(home), store, COLUMNS, [batch], 300)


def staged(home: Path) -> list[int]:
    found = []
    for path in (home / "root").rglob(staging.MANIFEST):
        manifest = json.loads(path.read_text())
        found += [(path.parent / part["file"]).stat().st_size for part in manifest["parts"]]
        assert [str(size) for size in found] == [part["sizeBytes"] for part in manifest["parts"]]
    return found


def record(home: Path) -> None:
    with leftovers.recorded(context(home), home / "root", "mig_1/step_1/att_1"):
        (home / "seen").mkdir(exist_ok=True)


# Files of datastores.


def csv(home: Path) -> CsvDatastore:
    return CsvDatastore(CsvPlace("files", home / "root", ",", ""))


def parquet(home: Path) -> ParquetDatastore:
    return ParquetDatastore(ParquetPlace("files", home / "root"))


def an_earlier(home: Path) -> None:
    a_root(home)
    (home / "root" / "x.csv").write_text("a\n7\n")


def publish(store: Any, name: str, fences: Path) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array(range(50))], names=["a"])
    # A step that was killed is granted again with a higher fence.
    fence = 1 + len(list(fences.glob("*")))
    (fences / str(fence)).mkdir(parents=True)
    writer = Writer("there", fence, f"att_{fence}", "mig_1", evict=tuple(f"att_{n}" for n in range(1, fence)))
    source = Input(digest_of([batch], COLUMNS).value(), COLUMNS, True)
    store.publish(Location("d", name), writer, source, iter([batch]))


def rows_of(store: Any, name: str) -> int:
    return sum(batch.num_rows for batch in store.read(Location("d", name), COLUMNS))


def append(home: Path) -> None:
    log = FileLog(home / "root" / "_haulier" / "x")
    log.claim(Writer("there", 1, "att_1", "mig_1"))


def entries(home: Path) -> bool:
    return bool(FileLog(home / "root" / "_haulier" / "x").entries())


def duck(home: Path) -> DuckdbDatastore:
    return DuckdbDatastore(DuckdbPlace("duck", home / "root" / "x.duckdb"))


def ducks(home: Path) -> int | None:
    if not (home / "root" / "x.duckdb").exists():
        return None
    with duckdb.connect(str(home / "root" / "x.duckdb"), read_only=True) as connection:
        tables = connection.execute("SELECT count(*) FROM duckdb_tables() WHERE table_name = 'x'").fetchone()
        assert tables is not None
        return connection.execute("SELECT count(*) FROM x").fetchall()[0][0] if tables[0] else None


# Upgrades.


class Pieces:
    """A stream of metadata."""

    def __init__(self) -> None:
        self._left = [pb.FetchMetadataResponse(name=f"{n}.root.json", data=b"x" * 3000) for n in (1, 2)]

    async def read(self) -> Any:
        return self._left.pop() if self._left else grpc.aio.EOF

    async def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.OK

    def cancel(self) -> None:
        pass


class Stub:
    """The control plane."""

    FetchMetadata = staticmethod(lambda request: Pieces())


def fetch(home: Path) -> None:
    asyncio.run(fetching._fetch_metadata(Stub, home))


def fetched(home: Path) -> list[int]:
    return [path.stat().st_size for path in home.glob(f"{fetching.METADATA}/*.json")]


def settings(home: Path) -> UpdaterSettings:
    return UpdaterSettings(home=home / "home", state=home / "state", agent_state=home / "agent")


def remember(home: Path) -> None:
    with Memory.open(settings(home)) as memory:
        memory.save(UpdaterState(current=Release("0.2.0", NEW)), "kept")


def remembered(home: Path) -> str:
    with Memory.open(settings(home)) as memory:
        current = memory.load().current
    return current.digest if current else ""


def two_releases(home: Path) -> None:
    for digest in (OLD, NEW):
        (home / "home" / "versions" / digest).mkdir(parents=True)
    point_both(home / "home", OLD, "")


def links(home: Path) -> tuple[str, str]:
    found = linked(home / "home" / CURRENT), linked(home / "home" / PREVIOUS)
    # In between, `previous` may say the one that is still current: the updater's state says what is to come.
    return (OLD, "") if found == (OLD, OLD) else (NEW, OLD) if found == (NEW, "") else found


def leave_text(home: Path) -> None:
    exchange.write_text(home / "agent", exchange.STATUS, "new" * 1000)


def old_text(home: Path) -> None:
    (home / "agent" / exchange.UPGRADE).mkdir(parents=True)
    exchange.write_text(home / "agent", exchange.STATUS, "old" * 1000)


def a_release(home: Path) -> None:
    forge = Forge(home / "forge")
    built = forge.release("0.2.0")
    Host(home / "host", forge.first_root).fetch(forge.repository, built)
    (home / "wanted").write_text(json.dumps(dataclasses.asdict(wanted(built))))


def install(home: Path) -> None:
    host = Host(home / "host", Forge(home / "forge").first_root)
    unpack(host.verify(RequestedRelease(**json.loads((home / "wanted").read_text()))), host.here.versions)


def installed(home: Path) -> list[list[str]]:
    return [faults_of(path) for path in (home / "host" / "versions").iterdir() if len(path.name) == 64]


def one_more(home: Path) -> None:
    publish(csv(home), "x.csv", home / "fences")


FAMILIES: dict[str, Callable[[], Act]] = {
    "an identity": lambda: Act(with_candidate, take_candidate, identity),
    "a copy of the journal": lambda: Act(
        a_journal, lambda home: mending.copy(home / "journal.db", home / "copy.db"), copied_journal
    ),
    "a mended journal": lambda: Act(a_broken_journal, mend, mended),
    "a result": lambda: Act(nothing, leave_result, result),
    "a root that is known": lambda: Act(a_root, mark_root, marked),
    "staged parts": lambda: Act(a_root, stage, staged),
    "a claim": lambda: Act(a_root, append, entries, again=(Fenced,)),
    "a published CSV file": lambda: Act(
        an_earlier, one_more, lambda home: rows_of(csv(home), "x.csv"), derived=("holders", "fences")
    ),
    "a published Parquet file": lambda: Act(
        an_earlier, lambda home: publish(parquet(home), "y.parquet", home / "fences"),
        lambda home: rows_of(parquet(home), "y.parquet") if (home / "root" / "y.parquet").exists() else None,
        derived=("holders", "fences"),
    ),
    "a new DuckDB file": lambda: Act(
        a_root, lambda home: publish(duck(home), "x", home / "fences"), ducks, derived=("holders", "fences")
    ),
    "fetched metadata": lambda: Act(nothing, fetch, fetched),
    "what the updater knows": lambda: Act(two_releases, remember, remembered),
    "which release runs": lambda: Act(two_releases, lambda home: point_both(home / "home", NEW, OLD), links),
    "what the updater says": lambda: Act(
        old_text, leave_text, lambda home: exchange.read_text(home / "agent", exchange.STATUS)
    ),
    "an unpacked release": lambda: Act(a_release, install, installed),
}  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_written_is_old_or_new_whatever_call_fails(name: str, tmp_path: Path) -> None:
    calls = hold(FAMILIES[name](), tmp_path / "disk")
    assert sum(call.startswith("fsync") for call in calls) >= 2, "a file and its directory"
