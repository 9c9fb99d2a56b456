"""The journal file: synchronous, one connection, one owner.

A rollback journal (kept as a file between transactions, which saves a directory sync) with synchronous=FULL
is
safe on every SQLite, also those inside the known WAL corruption range.
"""

import contextlib
import fcntl
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlite_utils

from agentd.core.effects import ForgetAttempt, JournalIntent, KeepHead, MarkDraining, RecordOutcome
from agentd.core.grants import Recovered
from agentd.core.witnessing import TreeHead
from agentd.journal.encoding import (
    Undecodable,
    boot_of_intent,
    grant_from_text,
    grant_to_text,
    head_from_text,
    head_to_text,
    intent_to_text,
    outcome_from_text,
    outcome_to_text,
)

FORMAT = 1
# Write targets whose newest fence is kept; the least recently granted make room.
FENCES_KEPT = 4096

Entry = JournalIntent | RecordOutcome | MarkDraining | ForgetAttempt | KeepHead

_SCHEMA = """
create table attempts (attempt_id text primary key, grant_json text not null) without rowid;
create table outcomes (attempt_id text primary key, outcome_json text not null) without rowid;
create table fences (target text primary key, fence integer not null, used integer not null) without rowid;
create index fences_by_use on fences (used);
create table marks (name text primary key, value integer not null) without rowid;
insert into marks (name, value) values ('incarnation', 0), ('draining', 0), ('fence_use', 0);
"""
# An agent that does not know this table leaves it alone, so a release before it can still read the journal.
_FACTS = "create table if not exists facts (name text primary key, value text not null) without rowid"


class JournalBusy(Exception):
    """Another daemon owns this journal."""


class JournalBroken(Exception):
    """The journal cannot be read by this program; says what and how to mend it."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What the journal held at start."""

    incarnation: int
    attempts: tuple[Recovered, ...]
    fences: dict[str, int]
    draining: bool
    witnessed: TreeHead | None = None  # newest head of the audit log that was seen
    file: str = ""  # which file this is: another one for a copy


class Journal:
    """Open with `Journal.open`; use from one thread only."""

    def __init__(self, db: sqlite_utils.Database, ownership: int, file: str) -> None:
        self._db = db
        self._ownership = ownership
        self._file = file

    @classmethod
    def open(cls, path: Path) -> "Journal":
        """Open or create the journal at `path`. Raises JournalBusy when another process has it open, and
        JournalBroken when it is not a journal of ours or newer than this program."""
        ownership = _own(path.with_name(path.name + ".owner"))
        try:
            return cls(_open_database(path), ownership, _file_of(path))
        except BaseException:
            # Nobody has the journal yet who could give its ownership up.
            os.close(ownership)
            raise

    def close(self) -> None:
        """Close the file and give up its ownership."""
        self._db.close()
        os.close(self._ownership)

    def begin_incarnation(self) -> Contents:
        """Raise the incarnation by one, durably, and return everything that was remembered."""
        with self._db.atomic():
            self._db.execute("update marks set value = value + 1 where name = 'incarnation'")
        return self.contents()

    def raise_incarnation(self, known: int) -> None:
        """Never be a smaller incarnation than one that somebody has seen."""
        with self._db.atomic():
            self._db.execute("update marks set value = max(value, ?) where name = 'incarnation'", [known])

    def contents(self) -> Contents:
        """Everything that is remembered. Raises JournalBroken."""
        marks = dict(self._db.execute("select name, value from marks").fetchall())
        rows = self._db.execute(
            "select attempt_id, grant_json, outcome_json from attempts left join outcomes using (attempt_id)"
        ).fetchall()
        fences = dict(self._db.execute("select target, fence from fences order by used").fetchall())
        try:
            attempts = tuple(
                Recovered(
                    grant_from_text(grant),
                    None if outcome is None else outcome_from_text(outcome),
                    boot_of_intent(grant, self._file),
                )
                for _, grant, outcome in rows
            )
            kept = self._db.execute("select value from facts where name = 'witnessed'").fetchone()
            witnessed = None if kept is None else head_from_text(kept[0])
        except Undecodable as error:
            raise JournalBroken(f"the journal holds something that cannot be read: {error}") from error
        return Contents(int(marks["incarnation"]), attempts, fences, bool(marks["draining"]), witnessed, self._file)

    def write(self, entries: Sequence[Entry]) -> None:
        """Make all entries durable in one transaction, in order."""
        with self._db.atomic():
            for entry in entries:
                self._write_one(entry)

    def _write_one(self, entry: Entry) -> None:
        if isinstance(entry, JournalIntent):
            self._write_grant(entry)
        elif isinstance(entry, RecordOutcome):
            # A refused grant was never journalled as an intent; its outcome still needs its grant.
            self._db.execute(
                "insert or ignore into attempts values (?, ?)",
                [entry.grant.attempt_id, grant_to_text(entry.grant)],
            )
            self._db.execute(
                "insert or replace into outcomes values (?, ?)",
                [entry.outcome.attempt_id, outcome_to_text(entry.outcome)],
            )
        elif isinstance(entry, MarkDraining):
            self._db.execute("update marks set value = ? where name = 'draining'", [int(entry.draining)])
        elif isinstance(entry, KeepHead):
            self._db.execute("insert or replace into facts values ('witnessed', ?)", [head_to_text(entry.head)])
        else:
            self._db.execute("delete from outcomes where attempt_id = ?", [entry.attempt_id])
            self._db.execute("delete from attempts where attempt_id = ?", [entry.attempt_id])

    def _write_grant(self, entry: JournalIntent) -> None:
        grant = entry.grant
        text = intent_to_text(grant, entry.boot_id, self._file)
        self._db.execute("insert or replace into attempts values (?, ?)", [grant.attempt_id, text])
        if not grant.target:
            return
        self._db.execute("update marks set value = value + 1 where name = 'fence_use'")
        self._db.execute(
            "insert into fences values (?, ?, (select value from marks where name = 'fence_use'))"
            " on conflict (target) do update set fence = max(fence, excluded.fence), used = excluded.used",
            [grant.target, grant.fence],
        )
        self._db.execute(
            "delete from fences where used <= (select value from marks where name = 'fence_use') - ?",
            [FENCES_KEPT],
        )


def _file_of(path: Path) -> str:
    """Which file this is: another one for a copy, whatever its name and content."""
    found = path.stat()
    return f"{found.st_dev}:{found.st_ino}"


def _own(path: Path) -> int:
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        os.close(descriptor)
        who = f"process {owner}" if owner else "another process"
        raise JournalBusy(
            f"{path.parent} is in use by {who}; stop that daemon, or give this one its own --state"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
    return descriptor


def _open_database(path: Path) -> sqlite_utils.Database:
    with contextlib.ExitStack() as undo:
        # The file is made here so that its mode is right from the first byte.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
        try:
            db = sqlite_utils.Database(path)
            undo.callback(db.close)
            db.execute("pragma journal_mode = persist").fetchall()
            db.execute("pragma synchronous = full").fetchall()
            version = int(db.execute("pragma user_version").fetchone()[0])
            if version == 0:
                with db.atomic():
                    for statement in filter(str.strip, _SCHEMA.split(";")):
                        db.execute(statement)
                    db.execute(f"pragma user_version = {FORMAT}")
            db.execute(_FACTS)
        except Exception as error:
            # Which class this is depends on the SQLite library that sqlite-utils picked.
            raise JournalBroken(f"{path} cannot be opened as a journal: {error}") from error
        if version > FORMAT:
            raise JournalBroken(
                f"{path} has format {version}, this agent knows {FORMAT}: install the newer agent again"
            )
        undo.pop_all()
        return db
