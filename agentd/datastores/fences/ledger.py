"""The fence inside an SQL database, and what was published behind it.

Two small tables live beside the data. `haulier_fence` has one row per write target: the highest fence ever accepted
and whose it is. `haulier_publication` has one row per (target, migration): which object it published, from which
input, and the name under which the content that was there before is kept for undo; and what tells both of them again
(`as_published`): nothing is dropped or put back that is not what was left there.

A writer first *claims*: a short transaction that raises its fence, so a stale writer is refused before it moves a
row. Bulk data then goes to a staging table of the attempt's own. *Publish* is one short transaction: our claim still
stands (guarded update of one row) → what is there is renamed away → staging is renamed in → the publication is
recorded → commit. Whoever claimed in between makes the guarded update match no row, and the transaction is rolled
back.

Written once for SQLite, DuckDB and PostgreSQL, over the few operations of a `SqlSession`.
"""

import hashlib
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from agentd.datastores.fences import stuck
from agentd.datastores.fences.as_published import (
    Content,
    RecordedKept,
    Traits,
    Watched,
    differences,
    identity_text,
    kept_differences,
    kept_text,
    recorded,
    recorded_kept,
    shape_differences,
    summed,
)
from agentd.datastores.fences.publications import (
    IDENTITY_COLUMNS,
    PUBLICATION,
    PUBLICATION_COLUMNS,
    Publication,
    newest_of,
    publication_of,
    publications,
    record_publication,
    remembered,
    top_of,
)
from agentd.datastores.fences.sql_session import SqlSession
from agentd.datastores.port.datastore import FenceRecord, Input, Location, Published, Removed, Undo, Writer
from agentd.datastores.port.definitions import Definition
from agentd.datastores.port.failures import Fenced, StepFailure
from agentd.proof.types import Columns

PREFIX = "haulier_"
FENCE = "haulier_fence"

FENCE_COLUMNS = "target TEXT PRIMARY KEY, fence BIGINT NOT NULL, attempt_id TEXT NOT NULL, staging TEXT NOT NULL"


def short_name(kind: str, *parts: str) -> str:
    """A table name of our own, at most 63 bytes: readable where the part is short and plain, digested otherwise."""
    if len(parts) == 1 and re.fullmatch(r"[a-z0-9_]{1,40}", parts[0]):
        return f"{PREFIX}{kind}_{parts[0]}"
    text = "\0".join(parts).encode()
    return f"{PREFIX}{kind}_{hashlib.blake2b(text, digest_size=12).hexdigest()}"


def staging_of(writer: Writer) -> str:
    """Name of the attempt's staging table."""
    return short_name("staging", writer.attempt_id)


def ensure_tables(session: SqlSession) -> None:
    """Create the ledger's tables where they are not there yet, and what those of an earlier release lack."""
    if session.exists(FENCE) and set(IDENTITY_COLUMNS) <= set(session.column_names(PUBLICATION)):
        return
    with session.transaction():
        session.make_tables_alone()
        session.run(f"CREATE TABLE IF NOT EXISTS {session.named(FENCE)} ({FENCE_COLUMNS})")
        session.run(f"CREATE TABLE IF NOT EXISTS {session.named(PUBLICATION)} ({PUBLICATION_COLUMNS})")
        there = session.column_names(PUBLICATION)
        for name in IDENTITY_COLUMNS:
            if name not in there:
                session.run(f"ALTER TABLE {session.named(PUBLICATION)} ADD COLUMN {name} TEXT DEFAULT ''")


def read_record(session: SqlSession, target: str, found: str = "") -> FenceRecord | None:
    """What is recorded for a target, or else for whoever published the object last; None where there is nothing."""
    if not (session.exists(FENCE) and session.exists(PUBLICATION)):
        return None
    fence = session.named(FENCE)
    rows = session.rows(f"SELECT target, fence, attempt_id FROM {fence} WHERE target = ?", (target,))
    if not rows and found:
        rows = session.rows(
            f"SELECT target, fence, attempt_id FROM {fence} WHERE target IN (SELECT target FROM "
            f"{session.named(PUBLICATION)} WHERE object = ? AND state = 'published') ORDER BY fence DESC LIMIT 1",
            (found,),
        )
    if not rows:
        return None
    newest = newest_of(session, rows[0][0])
    if newest is None:
        return FenceRecord(int(rows[0][1]), rows[0][2])
    digest = bytes.fromhex(newest.input_digest)
    return FenceRecord(int(rows[0][1]), rows[0][2], newest.fence, digest, newest.rows)


def require_not_stale(session: SqlSession, writer: Writer) -> None:
    """Refuse a stale writer by reading alone. Must come before eviction: a zombie must not end its successor."""
    record = read_record(session, writer.target)
    if record is not None:
        _compare(writer, record.fence, record.attempt_id)


def claim(session: SqlSession, writer: Writer, staging: str = "") -> None:
    """Raise the target's fence to the writer's in a transaction of its own and drop what the last claimant staged.

    Raises Fenced where a newer writer, or another attempt with the same fence, was accepted before.
    """
    ensure_tables(session)
    table = session.named(FENCE)
    with session.transaction():
        session.run(
            f"INSERT INTO {table} (target, fence, attempt_id, staging) VALUES (?, -1, '', '') "
            "ON CONFLICT (target) DO NOTHING",
            (writer.target,),
        )
        raised = session.run(
            f"UPDATE {table} SET fence = ?, attempt_id = ? "
            "WHERE target = ? AND (fence < ? OR (fence = ? AND attempt_id = ?))",
            (writer.fence, writer.attempt_id, writer.target, writer.fence, writer.fence, writer.attempt_id),
        )
        fence, attempt_id, left = session.rows(
            f"SELECT fence, attempt_id, staging FROM {table} WHERE target = ?",
            (writer.target,),
        )[0]
        if raised != 1:
            _compare(writer, int(fence), attempt_id)
        if left:
            session.drop(left)
        session.run(f"UPDATE {table} SET staging = ? WHERE target = ?", (staging, writer.target))


def _compare(writer: Writer, fence: int, attempt_id: str) -> None:
    if fence > writer.fence:
        raise Fenced(writer.target, writer.fence, f"it has accepted fence {fence} of {attempt_id}")
    if fence == writer.fence and attempt_id != writer.attempt_id:
        raise Fenced(writer.target, writer.fence, f"the same fence was accepted from {attempt_id}")


def _hold(session: SqlSession, writer: Writer) -> None:
    """Within a transaction: see that our claim stands, and keep the row so that nobody can claim until commit."""
    table = session.named(FENCE)
    held = session.run(
        f"UPDATE {table} SET staging = '' WHERE target = ? AND fence = ? AND attempt_id = ?",
        (writer.target, writer.fence, writer.attempt_id),
    )
    if held != 1:
        found = session.rows(f"SELECT fence, attempt_id FROM {table} WHERE target = ?", (writer.target,))
        said = f"fence {found[0][0]} of {found[0][1]} was accepted since" if found else "its record is gone"
        raise Fenced(writer.target, writer.fence, said)


def _changes(
    session: SqlSession, own: Publication, columns: Columns, content: Content | None, watched: Watched
) -> list[str]:
    """How what is there differs from what was published. With `content`, its rows are read too, and nobody else writes
    it from then on."""
    digest = bytes.fromhex(own.input_digest)
    published = recorded(remembered(session, own)[0], columns, own.rows, digest)
    differ = shape_differences(session, session.traits(own.object), published.traits)
    if differ or content is None:
        return differ
    session.hold_still(own.object)
    return differences(session, own.object, published, content, watched)


def require_room(
    session: SqlSession,
    location: Location,
    writer: Writer,
    source: Input,
    content: Content | None = None,
    done: int = 0,
) -> None:
    """Refuse an object that is there and is not ours to replace, or would lose what hangs on it.

    Early, before any bulk work, by its shape alone; and with `content` by its rows too. `done` rows have moved the
    watermark already.
    """
    if not session.exists(location.object):
        return
    top = top_of(session, location.object)
    if (top is None or top.target != writer.target) and not source.replace:
        raise already_there(location.object)
    # What an earlier migration of this target published, and somebody changed, is kept like what was there before.
    if top is not None and not source.replace:
        differ = _changes(session, top, source.columns, content, writer.reading(done))
        if differ:
            raise stuck.changed_since(location.object, differ)
    session.guard_replace(location.object, source.waive, location.key)


def already_there(found: str) -> StepFailure:
    """Failure for an object that Haulier did not publish for this target and may not replace."""
    return StepFailure(
        "object_exists",
        f"{found!r} is already at the destination and was not published there by Haulier for this target",
        "Choose another object, drop it, or set `ifExists: replace` to keep the old content for undo and replace it.",
    )


def drop_former(session: SqlSession, writer: Writer) -> Removed:
    """After a claim: drop the table that this migration's publish kept for undo; its record stays.

    Raises StepFailure where another table has taken its name.
    """
    return session.patiently(writer, lambda: _drop_kept(session, writer))


def _drop_kept(session: SqlSession, writer: Writer) -> Removed:
    with session.transaction():
        _hold(session, writer)
        own = publications(session, "target = ? AND migration_id = ?", (writer.target, writer.migration_id))
        kept = [each for each in own if each.kept and session.exists(each.kept)]
        writer.reach("before_removing")
        for each in kept:
            was = recorded_kept(remembered(session, each)[1])
            differ = shape_differences(session, session.traits(each.kept), was.traits if was is not None else None)
            if differ:
                raise stuck.kept_replaced(each.kept, differ)
            writer.before_destructive()
            session.lock([each.kept], writer)
            session.drop(each.kept)
    return Removed(len(kept))


def stage_and_publish(
    session: SqlSession,
    location: Location,
    writer: Writer,
    source: Input,
    stage: Callable[[str], int],
    content: Content,
) -> Published:
    """After a claim: let `stage` fill a staging table, then publish it. Whatever fails, no staging table is left.

    `content` reads a table of ours again, to see that it is as it was published."""
    staging = staging_of(writer)
    session.patiently(writer, lambda: require_room(session, location, writer, source))
    try:
        rows = stage(staging)
        writer.reach("before_publish")
        swapped = session.patiently(writer, lambda: publish(session, location, writer, source, staging, rows, content))
        if swapped.is_kept:
            session.patiently(writer, lambda: remember_kept(session, writer, rows))
    except BaseException:
        # What failed is what counts; the next claim drops the table where this connection no longer can.
        with suppress(Exception):
            session.drop(staging)
        raise
    return Published(rows, writer.fence, waived=swapped.waived, former_kept=swapped.is_kept)


@dataclass(frozen=True, slots=True)
class Swapped:
    """What a publish did: whether former content is kept for undo, and what that lost as was waived."""

    is_kept: bool
    waived: tuple[Definition, ...] = ()


def publish(
    session: SqlSession,
    location: Location,
    writer: Writer,
    source: Input,
    staging: str,
    rows: int,
    content: Content,
) -> Swapped:
    """The short transaction that makes `staging` the object's content.

    Raises Fenced where our claim was overtaken.
    """
    with session.transaction():
        _hold(session, writer)
        own = publication_of(session, writer)
        kept = kept_identity = ""
        if own is not None:
            # Our own earlier output gives way; what was there before this migration stays kept for undo.
            kept, kept_identity = own.kept, remembered(session, own)[1]
            _require_own(session, own, source, content, writer.reading(rows))
        elif session.exists(location.object):
            require_room(session, location, writer, source, content, rows)
        waived, key_name = _made_ours(session, location, writer, source)
        if own is not None:
            session.drop(own.object)
        elif session.exists(location.object):
            kept = short_name("kept", writer.target, writer.migration_id, writer.attempt_id)
            session.rename(location.object, kept)
            session.name_key(kept, short_name("key", kept))
            kept_identity = kept_text(RecordedKept(_traits_of(session, kept)))
        session.rename(staging, location.object)
        session.name_key(location.object, key_name)
        if kept:
            session.settle(kept, location.object)
        identity = identity_text(_traits_of(session, location.object), source.columns)
        record_publication(session, location, writer, source, kept, rows, (identity, kept_identity))
        writer.reach("publish_open")
    writer.reach("after_publish")
    return Swapped(bool(kept), tuple(waived))


def _made_ours(session: SqlSession, location: Location, writer: Writer, source: Input) -> tuple[list[Definition], str]:
    """Within a transaction: have the object for ourselves, once nobody reads it. What it would lose as was waived, and
    the name of its primary key."""
    session.lock([location.object], writer)
    if not session.exists(location.object):
        return [], ""
    return session.guard_replace(location.object, source.waive, location.key), session.key_name(location.object)


def _require_own(session: SqlSession, own: Publication, source: Input, content: Content, watched: Watched) -> None:
    """Refuse to drop what this migration published before, unless it is still there as it was published."""
    if not session.exists(own.object):
        return
    differ = _changes(session, own, source.columns, content, watched)
    if differ:
        raise stuck.changed_between(own.object, differ)


def _traits_of(session: SqlSession, table: str) -> Traits:
    found = session.traits(table)
    assert found is not None, "it was renamed within this transaction"
    return found


def remember_kept(session: SqlSession, writer: Writer, done: int = 0) -> None:
    """After a publish: read the kept table once, so that undo can tell whether it is still what was found there.

    The swap does not wait for it: nobody writes a table of ours. `done` rows have moved the watermark already.
    """
    own = publication_of(session, writer)
    kept = recorded_kept(remembered(session, own)[1]) if own is not None else None
    if own is None or kept is None or kept.rows >= 0 or not session.exists(own.kept):
        return
    rows, total = summed(session, own.kept, writer.reading(done))
    with session.transaction():
        _hold(session, writer)
        session.run(
            f"UPDATE {session.named(PUBLICATION)} SET kept_identity = ? WHERE target = ? AND migration_id = ?",
            (kept_text(RecordedKept(kept.traits, rows, total)), writer.target, writer.migration_id),
        )


def adopt(session: SqlSession, location: Location, writer: Writer, source: Input) -> Published | None:
    """After a claim: put the writer's fence on this migration's own publish of the same input, if that is what is
    there. Its rows are left to `validate`, which reads them all again."""
    with session.transaction():
        _hold(session, writer)
        own = publication_of(session, writer)
        if own is None or own.input_digest != source.digest.hex() or not session.exists(location.object):
            return None
        if _changes(session, own, source.columns, None, writer.reading()):
            return None
        session.run(
            f"UPDATE {session.named(PUBLICATION)} SET fence = ?, attempt_id = ? WHERE target = ? AND migration_id = ?",
            (writer.fence, writer.attempt_id, writer.target, writer.migration_id),
        )
    remember_kept(session, writer)
    waived = tuple(_given_up(session, own.kept, location, source))
    return Published(own.rows, writer.fence, already=True, waived=waived, former_kept=bool(own.kept))


def _given_up(session: SqlSession, kept: str, location: Location, source: Input) -> list[Definition]:
    """What the kept object has and its replacement has not, for a result whose first telling was lost."""
    with suppress(StepFailure):
        if kept and session.exists(kept):
            return session.guard_replace(kept, source.waive, location.key)
    return []


def withdraw(session: SqlSession, location: Location, writer: Writer, undo: Undo, content: Content) -> None:
    """After a claim: restore what was there before this migration published. Harmless where it never did, or twice.

    Raises StepFailure where a later migration has published over it: that one must be undone first; and where what is
    there, or what was kept, is not what this migration left (`stuck`). `content` reads a table of ours again.
    """
    with session.transaction():
        _hold(session, writer)
        own = publication_of(session, writer)
        if own is None:
            _require_nothing_forgotten(session, location, writer, undo)
        else:
            _require_as_left(session, own, writer, undo, content)
            writer.before_destructive()
            session.lock([name for name in (own.object, own.kept) if name], writer)
            key_name = session.key_name(own.object)
            session.drop(own.object)
            if own.kept:
                session.rename(own.kept, own.object)
                session.name_key(own.object, key_name)
            session.run(
                f"UPDATE {session.named(PUBLICATION)} SET state = 'withdrawn', kept = '', fence = ?, attempt_id = ? "
                "WHERE target = ? AND migration_id = ?",
                (writer.fence, writer.attempt_id, writer.target, writer.migration_id),
            )
        writer.reach("publish_open")
    writer.reach("after_publish")


def _require_nothing_forgotten(session: SqlSession, location: Location, writer: Writer, undo: Undo) -> None:
    """Nothing of this migration is published here, as far as the ledger knows. Refuse where it should know of it."""
    ended = publications(
        session, "target = ? AND migration_id = ? AND state = 'withdrawn'", (writer.target, writer.migration_id)
    )
    # A withdrawal carries a higher fence than any publish that it undid.
    if undo.published_fence and not any(each.fence >= undo.published_fence for each in ended):
        raise stuck.records_missing(location.object, undo)


def _require_as_left(session: SqlSession, own: Publication, writer: Writer, undo: Undo, content: Content) -> None:
    """Refuse what is not what this migration left there, unless a person gave it up."""
    found = session.traits(own.object)
    if found is not None and found.kind != "table":
        raise stuck.not_a_table(own.object, found.kind, undo)
    watched = writer.reading()
    differ = _changes(session, own, undo.columns, content, watched)
    if differ and not undo.discard_changes:
        raise stuck.not_as_published(own.object, differ, undo)
    if not own.kept:
        return
    if not session.exists(own.kept):
        raise stuck.kept_missing(own.object, own.kept, undo)
    session.hold_still(own.kept)
    kept = recorded_kept(remembered(session, own)[1])
    differ = kept_differences(session, own.kept, kept, watched)
    if differ and not undo.discard_changes:
        raise stuck.kept_altered(own.object, own.kept, differ, undo)
