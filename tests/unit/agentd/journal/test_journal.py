"""The journal: what it remembers, and that only one daemon has it."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agentd.core.effects import ForgetAttempt, JournalIntent, MarkDraining, RecordOutcome
from agentd.core.grants import Direction, Failure, Grant, Outcome, OutcomeKind, Recovered, ResourceUse
from agentd.journal import batching
from agentd.journal import journal as journal_module
from agentd.journal.batching import JournalFailed, JournalWriter
from agentd.journal.encoding import (
    Undecodable,
    grant_from_text,
    grant_to_text,
    outcome_from_text,
    outcome_to_text,
)
from agentd.journal.journal import Journal, JournalBroken, JournalBusy

GRANT = Grant(
    attempt_id="att_1",
    step_id="step_1",
    migration_id="mig_1",
    step_name="load",
    kind="load",
    number=2,
    fence=2**40,
    target="orders",
    ttl_s=60.0,
    direction=Direction.UNDO,
    params=b"\x00\xff",
    forward_result=b"before",
    start_to_finish_s=10.5,
    progress_s=1.5,
    evict_attempt_ids=("att_0",),
    discard_changes=True,
)
OUTCOME = Outcome(
    "att_1",
    2**40,
    OutcomeKind.FAILED,
    b"\x00half",
    Failure("code", "message", "hint", retryable=True),
    ResourceUse(1.0, 2.0, 3, 4, 5),
)


def test_grants_and_outcomes_survive_their_text() -> None:
    assert grant_from_text(grant_to_text(GRANT)) == GRANT
    assert outcome_from_text(outcome_to_text(OUTCOME)) == OUTCOME
    plain = replace(OUTCOME, failure=None)
    assert outcome_from_text(outcome_to_text(plain)) == plain


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"attempt_id": "att_1"}'])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(Undecodable):
        grant_from_text(text)
    with pytest.raises(Undecodable):
        outcome_from_text(text)


def test_words_of_a_newer_agent_are_read(tmp_path: Path) -> None:
    newer = grant_to_text(GRANT).replace("{", '{"colour": "blue", ', 1)
    assert grant_from_text(newer) == GRANT


def test_each_start_is_a_new_incarnation_that_remembers(tmp_path: Path) -> None:
    first = Journal.open(tmp_path / "journal.db")
    begun = first.begin_incarnation()
    assert (begun.incarnation, begun.attempts, begun.fences, begun.draining) == (1, (), {}, False)
    other = replace(GRANT, attempt_id="att_2", fence=9)
    first.write([JournalIntent(GRANT), JournalIntent(other), MarkDraining(True)])
    first.write([RecordOutcome(GRANT, OUTCOME)])
    first.close()
    second = Journal.open(tmp_path / "journal.db")
    begun = second.begin_incarnation()
    assert begun.incarnation == 2
    assert set(begun.attempts) == {Recovered(GRANT, OUTCOME), Recovered(other)}
    assert begun.fences == {"orders": 2**40}, "the largest fence of a target stays"
    assert begun.draining
    second.write([ForgetAttempt("att_1"), ForgetAttempt("att_2"), MarkDraining(False)])
    begun = second.begin_incarnation()
    assert (begun.attempts, begun.draining) == ((), False)
    assert begun.fences == {"orders": 2**40}, "a fence outlives its attempts"
    second.close()


def test_the_boot_of_a_grant_is_remembered_in_the_file_that_got_it_and_not_in_a_copy(tmp_path: Path) -> None:
    path, copied = tmp_path / "journal.db", tmp_path / "copied.db"
    journal = Journal.open(path)
    journal.write([JournalIntent(GRANT, "boot")])
    assert journal.begin_incarnation().attempts == (Recovered(GRANT, boot_id="boot"),)
    journal.close()
    shutil.copy(path, copied)
    moved = path.replace(tmp_path / "moved.db")
    for file, boot_id in ((copied, ""), (moved, "boot")):
        found = Journal.open(file)
        assert found.begin_incarnation().attempts == (Recovered(GRANT, boot_id=boot_id),)
        found.close()


def test_a_grant_that_an_older_agent_journalled_has_no_boot(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    journal.write([RecordOutcome(GRANT, OUTCOME)])
    assert journal.begin_incarnation().attempts == (Recovered(GRANT, OUTCOME),)
    journal.close()


def test_a_refused_grant_is_remembered_with_its_outcome(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    journal.write([RecordOutcome(GRANT, OUTCOME)])
    begun = journal.begin_incarnation()
    assert begun.attempts == (Recovered(GRANT, OUTCOME),)
    assert begun.fences == {}, "a fence that was refused was not taken"
    journal.close()


def test_a_step_without_target_leaves_no_fence(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    journal.write([JournalIntent(replace(GRANT, target=""))])
    assert journal.begin_incarnation().fences == {}
    journal.close()


def test_only_so_many_fences_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "FENCES_KEPT", 2)
    journal = Journal.open(tmp_path / "journal.db")
    journal.write([JournalIntent(replace(GRANT, target=target)) for target in ("a", "b", "a", "c")])
    assert set(journal.begin_incarnation().fences) == {"a", "c"}
    journal.close()


def test_a_batch_is_all_or_nothing(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    with pytest.raises(OverflowError):
        journal.write([JournalIntent(GRANT), JournalIntent(replace(GRANT, target="t", fence=2**64))])
    assert journal.begin_incarnation().attempts == ()
    journal.close()


def test_the_file_is_private_and_in_rollback_mode(tmp_path: Path) -> None:
    Journal.open(tmp_path / "journal.db").close()
    assert (tmp_path / "journal.db").stat().st_mode & 0o077 == 0
    # Bytes 18 and 19 of the header are 1 for a rollback journal, 2 for WAL.
    assert (tmp_path / "journal.db").read_bytes()[18:20] == b"\x01\x01"


def test_a_second_owner_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from agentd.journal.journal import Journal;"
        "Journal.open(pathlib.Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    root = Path(__file__).parents[4]
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "journal.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(root)},
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"open\n"
        with pytest.raises(JournalBusy, match=f"in use by process {owner.pid}"):
            Journal.open(tmp_path / "journal.db")
        owner.send_signal(signal.SIGKILL)
    Journal.open(tmp_path / "journal.db").close()


def test_a_file_that_is_no_journal_is_named(tmp_path: Path) -> None:
    (tmp_path / "journal.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(JournalBroken, match="cannot be opened as a journal"):
        Journal.open(tmp_path / "journal.db")


def test_a_newer_journal_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Journal.open(tmp_path / "journal.db").close()
    monkeypatch.setattr(journal_module, "FORMAT", 0)
    with pytest.raises(JournalBroken, match="install the newer agent again"):
        Journal.open(tmp_path / "journal.db")


def test_a_damaged_attempt_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    monkeypatch.setattr(journal_module, "intent_to_text", lambda *_: "{}")
    journal.write([JournalIntent(GRANT)])
    with pytest.raises(JournalBroken, match="cannot be read"):
        journal.begin_incarnation()
    journal.close()


def test_writes_that_wait_share_a_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    write = Journal.write

    def counted(self: Journal, entries: list[journal_module.Entry]) -> None:
        sizes.append(len(entries))
        write(self, entries)

    monkeypatch.setattr(Journal, "write", counted)

    async def story() -> None:
        writer = JournalWriter()
        assert (await writer.open(tmp_path / "journal.db")).incarnation == 1
        grants = [replace(GRANT, attempt_id=f"att_{n}") for n in range(20)]
        await asyncio.gather(*(writer.write(JournalIntent(grant)) for grant in grants))
        await writer.close()

    asyncio.run(story())
    assert sum(sizes) == 20
    assert len(sizes) <= 2
    journal = Journal.open(tmp_path / "journal.db")
    assert len(journal.begin_incarnation().attempts) == 20
    journal.close()


def test_what_may_wait_is_written_with_the_next_or_at_the_end(tmp_path: Path) -> None:
    async def story() -> None:
        writer = JournalWriter()
        await writer.open(tmp_path / "journal.db")
        await writer.write(JournalIntent(GRANT))
        writer.write_later(ForgetAttempt("att_1"))
        await writer.write(JournalIntent(replace(GRANT, attempt_id="att_2")))
        writer.write_later(ForgetAttempt("att_2"))
        await writer.close()

    asyncio.run(story())
    journal = Journal.open(tmp_path / "journal.db")
    assert journal.begin_incarnation().attempts == ()
    journal.close()


def test_a_full_disk_is_waited_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The limit on pages is SQLite's own way to run out of room: the same error as of a full file system."""
    monkeypatch.setattr(batching, "_FULL_PAUSE_S", 0.0)
    large = replace(GRANT, params=b"x" * 200_000)
    failures: list[str] = []
    write = Journal.write

    def limited(self: Journal, entries: list[journal_module.Entry]) -> None:
        try:
            write(self, entries)
        except Exception as error:
            failures.append(str(error))
            self._db.execute("pragma max_page_count = 1000000").fetchall()
            raise

    monkeypatch.setattr(Journal, "write", limited)

    async def story() -> None:
        writer = JournalWriter()
        await writer.open(tmp_path / "journal.db")
        journal = writer._journal
        assert journal is not None
        await writer._on_thread(lambda: journal._db.execute("pragma max_page_count = 20").fetchall())
        await writer.write(JournalIntent(large))
        await writer.close()

    asyncio.run(story())
    assert len(failures) == 1
    assert "disk is full" in failures[0]
    assert str(tmp_path / "journal.db") in caplog.text
    assert "are free" in caplog.text
    journal = Journal.open(tmp_path / "journal.db")
    assert [each.grant for each in journal.begin_incarnation().attempts] == [large]
    journal.close()


def test_a_failed_write_is_final(tmp_path: Path) -> None:
    async def story() -> None:
        writer = JournalWriter()
        await writer.open(tmp_path / "journal.db")
        with pytest.raises(JournalFailed):
            await writer.write(JournalIntent(replace(GRANT, fence=2**64)))
        with pytest.raises(JournalFailed):
            await writer.write(MarkDraining(True))
        await writer.close()

    asyncio.run(story())


def test_a_busy_journal_is_reported_to_the_loop(tmp_path: Path) -> None:
    async def story() -> None:
        owner = Journal.open(tmp_path / "journal.db")
        writer = JournalWriter()
        with pytest.raises(JournalBusy):
            await writer.open(tmp_path / "journal.db")
        await writer.close()
        owner.close()

    asyncio.run(story())
