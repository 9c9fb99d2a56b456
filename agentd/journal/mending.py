"""Two releases and one journal: whether both can use it, and how the older one gets it back.

A change of the journal only ever adds (readers ignore what they do not know), so that a release and the one before can
use the same file. That is tried on a copy before every switch. Should a release all the same leave a journal that the
one before cannot read, `mend` restores the copy from before the switch and adds what happened since: the attempts'
directories hold every grant and every result.
"""

import contextlib
from pathlib import Path

import sqlite_utils

from agentd.core.effects import ForgetAttempt, JournalIntent, MarkDraining, RecordOutcome
from agentd.core.grants import Grant, Outcome, OutcomeKind
from agentd.disk import durable
from agentd.journal.journal import Contents, Journal, JournalBroken, JournalBusy

_TRIED = "att_selftest"
BROKEN, MENDED = ".broken", ".mended"


def copy(path: Path, to: Path) -> None:
    """Copy the journal as it is between two transactions, while a daemon may be writing to it.

    A journal that is not there yet is copied as nothing. Raises JournalBroken where it cannot be read."""
    to.unlink(missing_ok=True)
    if not path.exists():
        return
    unfinished = to.with_name(to.name + ".new")
    unfinished.unlink(missing_ok=True)
    try:
        source, target = sqlite_utils.Database(path), sqlite_utils.Database(unfinished)
        with contextlib.closing(source), contextlib.closing(target):
            source.conn.backup(target.conn)
    except Exception as error:
        # Which class it is depends on the SQLite library that sqlite-utils picked.
        unfinished.unlink(missing_ok=True)
        raise JournalBroken(f"{path} cannot be copied: {error}") from error
    unfinished.chmod(0o600)
    durable.sync(unfinished)
    durable.move(unfinished, to)


def try_out(path: Path) -> None:
    """Read everything in the journal at `path`, write one of everything, and read it back.

    Raises JournalBroken where it is not what was written."""
    grant = Grant(
        attempt_id=_TRIED,
        step_id="step_selftest",
        migration_id="mig_selftest",
        step_name="try",
        kind="load",
        number=1,
        fence=1,
        target="selftest",
        ttl_s=1.0,
        params=b"\0tried",
    )
    outcome = Outcome(_TRIED, 1, OutcomeKind.SUCCEEDED, b"\0done")
    before = _within(path, [JournalIntent(grant), RecordOutcome(grant, outcome), MarkDraining(True)])
    after = _within(path, [ForgetAttempt(_TRIED), MarkDraining(before.draining)])
    found = [each for each in after.attempts if each.grant.attempt_id == _TRIED]
    if [(each.grant, each.outcome) for each in found] != [(grant, outcome)] or not after.draining:
        raise JournalBroken(f"{path} does not hold what was written to it")
    if after.fences.get(grant.target) != grant.fence or after.incarnation != before.incarnation + 1:
        raise JournalBroken(f"{path} forgets fences or incarnations")
    lost = {each.grant.attempt_id for each in before.attempts} - {each.grant.attempt_id for each in after.attempts}
    if lost:
        raise JournalBroken(f"{path} lost {len(lost)} attempts")


def _within(path: Path, entries: list[JournalIntent | RecordOutcome | MarkDraining | ForgetAttempt]) -> Contents:
    with contextlib.closing(Journal.open(path)) as journal:
        contents = journal.begin_incarnation()
        journal.write(entries)
    return contents


def mend(path: Path, saved: Path, attempts: list[tuple[Grant, Outcome | None]], incarnation: int) -> bool:
    """Let this release use the journal at `path`; tells whether anything had to be done.

    `saved` is the copy from before the switch, `attempts` what the attempts' directories say, `incarnation` the highest
    that anybody has seen: the control plane refuses a smaller one. Raises JournalBroken, JournalBusy."""
    whole = path.with_name(path.name + MENDED)
    if _is_usable(path) and not whole.exists():
        return False
    known = max(incarnation, *(_incarnation_in(each) for each in (path, whole) if each.exists()), 0)
    _restore(whole, saved, attempts, known)
    # From here on whoever is killed has left a whole journal, and the next one goes on with that.
    if path.exists():
        durable.move(path, path.with_name(path.name + BROKEN))
    # A transaction that was not finished belongs to the file that is gone.
    path.with_name(path.name + "-journal").unlink(missing_ok=True)
    durable.move(whole, path)
    return True


def _restore(whole: Path, saved: Path, attempts: list[tuple[Grant, Outcome | None]], incarnation: int) -> None:
    """Make a journal of what was saved and what the attempts' directories say; it has its name when it is whole."""
    draft = whole.with_name(whole.name + ".new")
    beside = [draft.with_name(draft.name + suffix) for suffix in ("-journal", ".owner")]
    for left in (draft, *beside):
        left.unlink(missing_ok=True)
    if saved.exists():
        durable.replace(draft, saved.read_bytes())
    with contextlib.closing(Journal.open(draft)) as journal:
        contents = journal.begin_incarnation()
        held = {each.grant.attempt_id for each in contents.attempts}
        missed: list[JournalIntent | RecordOutcome] = []
        for grant, outcome in attempts:
            if grant.attempt_id not in held:
                missed.append(JournalIntent(grant))
            if outcome is not None:
                missed.append(RecordOutcome(grant, outcome))
        journal.write(missed)
        journal.raise_incarnation(incarnation)
    for left in beside:
        left.unlink(missing_ok=True)
    durable.sync(draft)
    durable.move(draft, whole)


def _is_usable(path: Path) -> bool:
    """Whether everything in the journal can be read; nothing in it is changed."""
    if not path.exists():
        return True
    try:
        with contextlib.closing(Journal.open(path)) as journal:
            journal.contents()
    except JournalBroken:
        return False
    except JournalBusy:
        raise
    except Exception:  # noqa: BLE001 - which class it is depends on the SQLite library
        return False
    return True


def _incarnation_in(path: Path) -> int:
    """The incarnation in a journal that may be unreadable otherwise; 0 where it cannot be found."""
    try:
        with contextlib.closing(sqlite_utils.Database(path)) as db:
            return int(db.execute("select value from marks where name = 'incarnation'").fetchone()[0])
    except Exception:  # noqa: BLE001 - anything may be wrong with it, and there is another source
        return 0
