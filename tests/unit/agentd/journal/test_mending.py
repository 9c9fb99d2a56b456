"""Two releases and one journal: copied while in use, tried, and restored without losing what happened since."""

import contextlib
from pathlib import Path

import pytest
import sqlite_utils

from agentd.core.effects import JournalIntent, MarkDraining, RecordOutcome
from agentd.core.grants import Grant, Outcome, OutcomeKind
from agentd.journal import mending
from agentd.journal.journal import Contents, Journal, JournalBroken, JournalBusy


def grant(number: int) -> Grant:
    return Grant(
        f"att_{number}", "step_1", "mig_1", "load", "load", 1, 10 + number, f"target {number}", 60.0, params=b"p"
    )


def outcome(number: int) -> Outcome:
    return Outcome(f"att_{number}", 10 + number, OutcomeKind.SUCCEEDED, b"done")


def written(path: Path, *entries: JournalIntent | RecordOutcome | MarkDraining) -> Contents:
    with contextlib.closing(Journal.open(path)) as journal:
        contents = journal.begin_incarnation()
        journal.write(list(entries))
    return contents


def contents(path: Path) -> Contents:
    with contextlib.closing(Journal.open(path)) as journal:
        return journal.contents()


def test_a_journal_is_copied_while_a_daemon_has_it(tmp_path: Path) -> None:
    path, copy = tmp_path / "journal.db", tmp_path / "copy"
    with contextlib.closing(Journal.open(path)) as journal:
        journal.begin_incarnation()
        journal.write([JournalIntent(grant(1))])
        mending.copy(path, copy)
        journal.write([JournalIntent(grant(2))])
    assert [each.grant for each in contents(copy).attempts] == [grant(1)]
    assert copy.stat().st_mode & 0o077 == 0
    mending.copy(tmp_path / "none", copy)
    assert not copy.exists(), "of no journal there is no copy"


def test_trying_a_journal_changes_nothing_that_counts(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    written(path, JournalIntent(grant(1)), RecordOutcome(grant(1), outcome(1)))
    before = contents(path)
    mending.try_out(path)
    after = contents(path)
    assert (after.attempts, after.draining) == (before.attempts, before.draining)


@pytest.mark.parametrize(
    "spoilt", ["drop table outcomes", "pragma user_version = 99", "delete from marks where name = 'incarnation'"]
)
def test_a_journal_that_cannot_be_used_says_so(tmp_path: Path, spoilt: str) -> None:
    path = tmp_path / "journal.db"
    written(path, JournalIntent(grant(1)))
    with contextlib.closing(sqlite_utils.Database(path)) as db, db.conn:
        db.execute(spoilt)
    with pytest.raises(Exception, match=r".+"):
        mending.try_out(path)


def test_a_journal_that_is_well_is_left_alone(tmp_path: Path) -> None:
    path, copy = tmp_path / "journal.db", tmp_path / "copy"
    assert not mending.mend(path, copy, [], 0)
    assert not path.exists()
    written(path, JournalIntent(grant(1)))
    data = path.read_bytes()
    assert not mending.mend(path, copy, [(grant(2), None)], 99)
    assert path.read_bytes() == data


@pytest.mark.parametrize("how", ["newer format", "no database", "unreadable attempt"])
def test_a_broken_journal_is_restored_and_nothing_that_happened_since_is_lost(tmp_path: Path, how: str) -> None:
    path, copy = tmp_path / "journal.db", tmp_path / "copy"
    written(path, JournalIntent(grant(1)), JournalIntent(grant(2)), MarkDraining(True))
    mending.copy(path, copy)
    # After the switch: one attempt ended, another was granted and ended, and the daemon was started some times.
    for _ in range(3):
        written(path, RecordOutcome(grant(2), outcome(2)), JournalIntent(grant(3)), RecordOutcome(grant(3), outcome(3)))
    if how == "no database":
        path.write_bytes(b"this was a journal" * 400)
    else:
        spoilt = "pragma user_version = 99" if how == "newer format" else "update attempts set grant_json = '{'"
        with contextlib.closing(sqlite_utils.Database(path)) as db, db.conn:
            db.execute(spoilt)
    directories: list[tuple[Grant, Outcome | None]] = [
        (grant(1), None),
        (grant(2), outcome(2)),
        (grant(3), outcome(3)),
    ]
    assert mending.mend(path, copy, directories, 7)
    found = contents(path)
    assert {each.grant.attempt_id: each.outcome for each in found.attempts} == {
        "att_1": None,
        "att_2": outcome(2),
        "att_3": outcome(3),
    }
    assert found.incarnation >= 7, "nobody sees a smaller incarnation than before"
    assert found.draining
    assert found.fences["target 3"] == 13
    assert (tmp_path / "journal.db.broken").exists()
    assert not mending.mend(path, copy, directories, 7), "once is enough"


def test_without_a_copy_the_directories_alone_are_enough(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"no journal at all" * 400)
    assert mending.mend(path, tmp_path / "none", [(grant(1), outcome(1))], 4)
    assert [(each.grant, each.outcome) for each in contents(path).attempts] == [(grant(1), outcome(1))]
    assert contents(path).incarnation >= 4


def test_nobody_mends_under_a_daemon(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with contextlib.closing(Journal.open(path)), pytest.raises(JournalBusy):
        mending.mend(path, tmp_path / "copy", [], 0)


def test_what_cannot_be_copied_says_so(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"no journal at all" * 400)
    with pytest.raises(JournalBroken, match="cannot be copied"):
        mending.copy(path, tmp_path / "copy")
    assert not list(tmp_path.glob("copy*"))
