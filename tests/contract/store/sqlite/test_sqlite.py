"""What is particular to SQLite: query plans, revisions, the append-only log, a full disk, the library itself."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

import controlplane
from controlplane.store.port import StoreFailed, Tx
from controlplane.store.sqlite import library, revisions
from controlplane.store.sqlite.queries import named
from controlplane.store.sqlite.revisions import NewerRevision, bring_up
from controlplane.store.sqlite.statements import Statements
from controlplane.store.sqlite.store import SqliteStore, open_snapshot
from controlplane.store.sqlite.tx import SqliteTx
from tests.contract.store.moves import grant, insert, plan
from tests.contract.store.sqlite.stores import Direct
from tests.contract.store.test_port import verbs
from tests.kit.builders import NOW

LARGE = ("step", "step_body", "attempt", "event", "migration", "need", "target", "resource_history", "request")
# Queries whose cost must not grow with what is queued or was ever done, and the index that each must use.
HOT = {
    "candidates": "step_queue",
    "candidates_within": "step_queue",
    "ready_count": "step_queue",
    "live_count": "attempt_live_agent",
    "live_counts": "attempt_live_agent",
    "live_classes": "attempt_live_step",
    "live_rows": "attempt_live_agent",
    "live_of_agent": "attempt_live_agent",
    "live_of_migration": "attempt_live_step",
    "live_on_target": "attempt_live_target",
    "extend_all": "attempt_live_agent",
    "unconfirmed": "attempt_unconfirmed",
    "unseen_end": "attempt_unconfirmed",
    "overdue_steps": "step_deadline",
    "moved_on_by": "step_moving",
    "movable_migration_ids": "migration_open",
    "events_of_migration": "event_by_migration",
    "events_of_step": "event_by_migration",
    "events_of_subject": "event_by_subject",
    "events_after": "INTEGER PRIMARY KEY",
    "attempts_in": "PRIMARY KEY",
    "attempts_with_steps": "PRIMARY KEY",
    "steps_in": "PRIMARY KEY",
    "bodies_in": "PRIMARY KEY",
    "lease_step": "PRIMARY KEY",
    "end_attempt": "PRIMARY KEY",
    "move_step": "PRIMARY KEY",
    "flush_attempt": "PRIMARY KEY",
}
# An index on few rows (live leases, open migrations) may be walked whole.
SMALL_INDEXES = ("attempt_live_agent", "attempt_live_step", "migration_open")


def plan_of(store: Direct, name: str) -> list[str]:
    statement = named()[name]
    rows = store.connection.execute("EXPLAIN QUERY PLAN " + statement, [None] * statement.count("?"))
    return [row[3] for row in rows]


@pytest.mark.parametrize("name", sorted(named()))
def test_every_query_is_understood(file_store: Direct, name: str) -> None:
    plan_of(file_store, name)


@pytest.mark.parametrize("name", sorted(HOT))
def test_hot_queries_use_their_index(file_store: Direct, name: str) -> None:
    steps = plan_of(file_store, name)
    assert any(HOT[name] in step for step in steps), steps
    aliases = "|".join((*LARGE, "[a-z]"))
    scans = [step for step in steps if re.match(rf"SCAN ({aliases})\b", step) and "VIRTUAL TABLE" not in step]
    assert not [scan for scan in scans if not scan.endswith(SMALL_INDEXES)], steps


def test_the_queue_is_read_in_the_order_of_its_index(file_store: Direct) -> None:
    for name in ("candidates", "candidates_within"):
        assert not [step for step in plan_of(file_store, name) if "TEMP B-TREE" in step]


def test_every_query_is_named_where_it_is_used_and_no_other() -> None:
    sources = Path(controlplane.__path__[0], "store", "sqlite").rglob("*.py")
    source = "".join(path.read_text() for path in sources)
    used = set(re.findall(r'"(\w+)"', source))
    assert not set(named()) - used


def test_the_store_has_no_public_verb_beside_those_of_the_port() -> None:
    """``recorded_count`` and ``forget_recorded`` are for the batcher, which knows what was rolled back."""
    public = {name for name in dir(SqliteTx) if not name.startswith("_")}
    own = {name for name in dir(Statements) if not name.startswith("_")} | {"recorded_count", "forget_recorded"}
    assert public - own == set(verbs())


@pytest.mark.parametrize("statement", ["UPDATE event SET detail = 'x'", "DELETE FROM event", "UPDATE event SET at = 0"])
def test_the_event_log_is_append_only(file_store: Direct, statement: str) -> None:
    file_store.write(lambda tx: insert(tx, plan("load")))
    with pytest.raises(library.Error, match="the event log is append-only"):
        file_store.connection.execute(statement)


def test_revisions_are_numbered_without_a_gap() -> None:
    assert [number for number, _ in revisions.known()] == list(range(1, len(revisions.known()) + 1))


def test_a_store_of_a_newer_haulier_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    made = library.connect(str(path), writing=True)
    newest = bring_up(made)
    assert bring_up(made) == newest
    made.execute(f"PRAGMA user_version = {newest + 1}")
    made.close()
    words = f"the store is at revision {newest + 1}, this program knows {newest}: start the newer haulier-controlplane"
    with pytest.raises(NewerRevision, match=words):
        SqliteStore(path)
    with pytest.raises(NewerRevision, match=words):
        open_snapshot(path)


def test_a_store_of_an_older_haulier_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    library.connect(str(path), writing=True).close()
    with pytest.raises(StoreFailed, match="start `haulier-controlplane serve` once"):
        open_snapshot(path)
    SqliteStore(path).close()
    assert open_snapshot(path).generation() == 1


def test_a_crash_in_the_middle_of_a_revision_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    SqliteStore(path).close()
    honest = revisions.known()
    half = (len(honest) + 1, "CREATE TABLE half_made (a);\nINSERT INTO nowhere VALUES (1);")
    with monkeypatch.context() as patched:
        patched.setattr(revisions, "known", lambda: [*honest, half])
        with pytest.raises(StoreFailed, match="cannot open the store"):
            SqliteStore(path)
    tx = open_snapshot(path)
    assert not tx.connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'half_made'").fetchall()
    SqliteStore(path).close()


def test_what_is_no_store_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with pytest.raises(StoreFailed, match=r"there is no store at .*: check --state"):
        open_snapshot(path)
    path.write_bytes(b"not a database, but long enough to look at" * 100)
    for opening in (SqliteStore, open_snapshot):
        with pytest.raises(StoreFailed, match=r"cannot open the store .*: file is not a database"):
            opening(path)


def test_a_library_that_can_corrupt_the_log_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pysqlite3.dbapi2.sqlite_version_info", (3, 40, 1))
    with pytest.raises(library.UnsafeLibrary, match="can corrupt a write-ahead log; install pysqlite3"):
        library.connect(":memory:", writing=True)


def test_a_commit_is_on_the_disk_before_its_answer(file_store: Direct) -> None:
    modes = {
        name: file_store.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
    }
    assert modes == {"journal_mode": "wal", "synchronous": 2}


def test_readers_cannot_write(file_store: Direct) -> None:
    with pytest.raises(library.Error, match="readonly"):
        file_store.read(lambda tx: tx.next_ids("step_", 1))


def fill(store: Direct, *, spare_pages: int) -> None:
    """Leave room for ``spare_pages`` more pages in the file."""
    (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
    store.connection.execute(f"PRAGMA max_page_count = {pages + spare_pages}")


def test_a_full_disk_answers_every_call_of_the_batch_and_keeps_none(file_store: Direct) -> None:
    _, (step,) = file_store.write(lambda tx: insert(tx, plan("load")))
    fill(file_store, spare_pages=0)

    def large(tx: Tx) -> Any:
        return insert(tx, *(plan(f"s{n}", template="x" * 4000) for n in range(50)), name="large")

    answers = file_store.batch([lambda tx: grant(tx, step), large, lambda tx: tx.next_ids("mig_", 1)])
    assert {type(answer) for answer in answers} == {StoreFailed}
    assert "database or disk is full; nothing of this request was kept" in str(answers[0])
    assert file_store.read(lambda tx: tx.live_count("ag_1")) == 0
    assert file_store.read(lambda tx: tx.migration_by_name("large")) is None
    # Room again: the store goes on where it was.
    fill(file_store, spare_pages=10_000)
    assert file_store.write(lambda tx: grant(tx, step)).number == 1
    assert file_store.write(large)[0].name == "large"


def test_a_closed_store_finishes_what_was_asked_and_refuses_the_rest(tmp_path: Path) -> None:
    async def body() -> list[Any]:
        store = SqliteStore(tmp_path / "store.db")
        asked = [asyncio.ensure_future(store.write(lambda tx: tx.next_ids("mig_", 1))) for _ in range(50)]
        await asyncio.sleep(0)
        await asyncio.to_thread(store.close)
        with pytest.raises(StoreFailed, match="the control plane is stopping"):
            await store.write(lambda tx: tx.next_ids("mig_", 1))
        return await asyncio.gather(*asked)

    ids = [each for answer in asyncio.run(body()) for each in answer]
    assert len(set(ids)) == 50


def test_a_caller_that_has_gone_does_not_stop_the_writer(tmp_path: Path) -> None:
    async def body() -> None:
        store = SqliteStore(tmp_path / "store.db")
        gone = asyncio.ensure_future(store.write(lambda tx: tx.next_ids("mig_", 1)))
        await asyncio.sleep(0)
        gone.cancel()
        (mine,) = await store.write(lambda tx: tx.next_ids("mig_", 1))
        # What it asked for was done all the same.
        assert mine.endswith("2")
        await asyncio.to_thread(store.close)

    asyncio.run(body())


def test_the_newest_instant_is_that_of_the_newest_fact(tmp_path: Path) -> None:
    async def body() -> None:
        store = SqliteStore(tmp_path / "store.db")
        assert store.newest_at() == 0.0
        await store.write(lambda tx: insert(tx, plan("load")))
        assert store.newest_at() == NOW
        await asyncio.to_thread(store.close)

    asyncio.run(body())


def test_values_that_go_leave_no_copy_in_the_file(file_store: Direct, tmp_path: Path) -> None:
    canary = b"Zanzibar 4711 " * 4000
    _, (step,) = file_store.write(lambda tx: insert(tx, plan("one")))
    step_id = step.id
    file_store.connection.execute("UPDATE step_body SET result = ? WHERE step_id = ?", (canary, step_id))
    file_store.write(lambda tx: tx.show_values(step_id, NOW))
    file_store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = tmp_path / "store.db"
    assert canary[:14] in path.read_bytes()
    file_store.write(lambda tx: tx.withhold_values(step_id, b"kept"))
    file_store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert canary[:14] not in path.read_bytes()
    assert file_store.read(lambda tx: tx.bodies([step_id]))[step_id].result == b"kept"
