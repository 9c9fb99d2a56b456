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

from agentd.datastores import stuck
from agentd.datastores.as_published import (
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
from agentd.datastores.failures import Fenced, StepFailure
from agentd.datastores.port import FenceRecord, Input, Location, Published, Undo, Writer
from agentd.datastores.sql_session import SqlSession
from agentd.proof.types import Columns

PREFIX = "haulier_"
FENCE = "haulier_fence"
PUBLICATION = "haulier_publication"

FENCE_COLUMNS = "target TEXT PRIMARY KEY, fence BIGINT NOT NULL, attempt_id TEXT NOT NULL, staging TEXT NOT NULL"
PUBLICATION_COLUMNS = (
    "target TEXT NOT NULL, migration_id TEXT NOT NULL, place BIGINT NOT NULL, object TEXT NOT NULL, "
    "kept TEXT NOT NULL, input_digest TEXT NOT NULL, row_count BIGINT NOT NULL, fence BIGINT NOT NULL, "
    "attempt_id TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (target, migration_id)"
)
# Added to the ledgers of earlier releases, whose publications are empty there: they are told by their rows alone.
IDENTITY_COLUMNS = ("identity", "kept_identity")


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
    newest = _newest(session, rows[0][0])
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


@dataclass(frozen=True, slots=True)
class _Publication:
    """A row of the publication table."""

    target: str
    migration_id: str
    object: str
    kept: str
    input_digest: str
    rows: int
    fence: int
    state: str

    def is_of(self, writer: Writer) -> bool:
        return (self.target, self.migration_id) == (writer.target, writer.migration_id)


_FIELDS = "target, migration_id, object, kept, input_digest, row_count, fence, state"


def _publications(session: SqlSession, where: str, params: tuple[object, ...]) -> list[_Publication]:
    """Publications that match, newest first. `where` is one of the literals below."""
    table = session.named(PUBLICATION)
    rows = session.rows(f"SELECT {_FIELDS} FROM {table} WHERE {where} ORDER BY place DESC", params)
    return [_Publication(*row) for row in rows]


def _newest(session: SqlSession, target: str) -> _Publication | None:
    found = _publications(session, "target = ? AND state = 'published'", (target,))
    return found[0] if found else None


def _on_top(session: SqlSession, table: str) -> _Publication | None:
    """Who published the object last, whatever the target."""
    found = _publications(session, "object = ? AND state = 'published'", (table,))
    return found[0] if found else None


def _own(session: SqlSession, writer: Writer) -> _Publication | None:
    """This migration's live publication; raises StepFailure where another has published over it."""
    found = _publications(
        session,
        "target = ? AND migration_id = ? AND state = 'published'",
        (writer.target, writer.migration_id),
    )
    if not found:
        return None
    top = _on_top(session, found[0].object)
    if top is not None and not top.is_of(writer):
        raise published_over(writer.target, top.migration_id)
    return found[0]


def published_over(target: str, migration_id: str) -> StepFailure:
    """Failure for a migration whose publish lies below that of another."""
    return StepFailure(
        "published_over",
        f"target {target!r}: migration {migration_id} has published over this one",
        "Roll that migration back first.",
    )


def _remembered(session: SqlSession, own: _Publication) -> tuple[str, str]:
    """What tells the published and the kept table again; "" where an earlier release recorded the publish."""
    rows = session.rows(
        f"SELECT coalesce(identity, ''), coalesce(kept_identity, '') FROM {session.named(PUBLICATION)} "
        "WHERE target = ? AND migration_id = ?",
        (own.target, own.migration_id),
    )
    return rows[0][0], rows[0][1]


def _changes(
    session: SqlSession, own: _Publication, columns: Columns, content: Content | None, watched: Watched
) -> list[str]:
    """How what is there differs from what was published. With `content`, its rows are read too, and nobody else writes
    it from then on."""
    digest = bytes.fromhex(own.input_digest)
    published = recorded(_remembered(session, own)[0], columns, own.rows, digest)
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
    """Refuse an object that is there and is not ours to replace: early, before any bulk work, by its shape alone; and
    with `content` by its rows too. `done` rows have moved the watermark already."""
    if not session.exists(location.object):
        return
    top = _on_top(session, location.object)
    if top is None or top.target != writer.target:
        if not source.replace:
            raise already_there(location.object)
        session.guard_replace(location.object)
        return
    # What an earlier migration of this target published, and somebody changed, is kept like what was there before.
    if source.replace:
        return
    differ = _changes(session, top, source.columns, content, writer.reading(done))
    if differ:
        raise stuck.changed_since(location.object, differ)


def already_there(found: str) -> StepFailure:
    """Failure for an object that Haulier did not publish for this target and may not replace."""
    return StepFailure(
        "object_exists",
        f"{found!r} is already at the destination and was not published there by Haulier for this target",
        "Choose another object, drop it, or set `ifExists: replace` to keep the old content for undo and replace it.",
    )


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
    require_room(session, location, writer, source)
    try:
        rows = stage(staging)
        writer.reach("before_publish")
        if publish(session, location, writer, source, staging, rows, content):
            remember_kept(session, writer, rows)
    except BaseException:
        # What failed is what counts; the next claim drops the table where this connection no longer can.
        with suppress(Exception):
            session.drop(staging)
        raise
    return Published(rows, writer.fence)


def publish(
    session: SqlSession,
    location: Location,
    writer: Writer,
    source: Input,
    staging: str,
    rows: int,
    content: Content,
) -> bool:
    """The short transaction that makes `staging` the object's content; tells whether former content is kept for undo.

    Raises Fenced where our claim was overtaken.
    """
    with session.transaction():
        _hold(session, writer)
        own = _own(session, writer)
        kept = kept_identity = ""
        if own is not None:
            # Our own earlier output gives way; what was there before this migration stays kept for undo.
            kept, kept_identity = own.kept, _remembered(session, own)[1]
            _drop_own(session, own, source, content, writer.reading(rows))
        elif session.exists(location.object):
            require_room(session, location, writer, source, content, rows)
            kept = short_name("kept", writer.target, writer.migration_id, writer.attempt_id)
            session.rename(location.object, kept)
            kept_identity = kept_text(RecordedKept(_traits_of(session, kept)))
        session.rename(staging, location.object)
        if kept:
            session.settle(kept, location.object)
        identity = identity_text(_traits_of(session, location.object), source.columns)
        _record(session, location, writer, source, kept, rows, (identity, kept_identity))
        writer.reach("publish_open")
    writer.reach("after_publish")
    return bool(kept)


def _drop_own(session: SqlSession, own: _Publication, source: Input, content: Content, watched: Watched) -> None:
    """Drop what this migration published before, if it is still there as it was published."""
    if not session.exists(own.object):
        return
    differ = _changes(session, own, source.columns, content, watched)
    if differ:
        raise stuck.changed_between(own.object, differ)
    session.drop(own.object)


def _traits_of(session: SqlSession, table: str) -> Traits:
    found = session.traits(table)
    assert found is not None, "it was renamed within this transaction"
    return found


def remember_kept(session: SqlSession, writer: Writer, done: int = 0) -> None:
    """After a publish: read the kept table once, so that undo can tell whether it is still what was found there.

    The swap does not wait for it: nobody writes a table of ours. `done` rows have moved the watermark already.
    """
    own = _own(session, writer)
    kept = recorded_kept(_remembered(session, own)[1]) if own is not None else None
    if own is None or kept is None or kept.rows >= 0 or not session.exists(own.kept):
        return
    rows, total = summed(session, own.kept, writer.reading(done))
    with session.transaction():
        _hold(session, writer)
        session.run(
            f"UPDATE {session.named(PUBLICATION)} SET kept_identity = ? WHERE target = ? AND migration_id = ?",
            (kept_text(RecordedKept(kept.traits, rows, total)), writer.target, writer.migration_id),
        )


def _record(
    session: SqlSession,
    location: Location,
    writer: Writer,
    source: Input,
    kept: str,
    rows: int,
    identities: tuple[str, str],
) -> None:
    table = session.named(PUBLICATION)
    place = session.rows(f"SELECT coalesce(max(place), 0) + 1 FROM {table}")[0][0]
    session.run(
        f"DELETE FROM {table} WHERE target = ? AND migration_id = ?",
        (writer.target, writer.migration_id),
    )
    session.run(
        f"INSERT INTO {table} (target, migration_id, place, object, kept, input_digest, row_count, fence, "
        "attempt_id, state, identity, kept_identity) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'published', ?, ?)",
        (
            writer.target,
            writer.migration_id,
            place,
            location.object,
            kept,
            source.digest.hex(),
            rows,
            writer.fence,
            writer.attempt_id,
            *identities,
        ),
    )


def adopt(session: SqlSession, location: Location, writer: Writer, source: Input) -> Published | None:
    """After a claim: put the writer's fence on this migration's own publish of the same input, if that is what is
    there. Its rows are left to `validate`, which reads them all again."""
    with session.transaction():
        _hold(session, writer)
        own = _own(session, writer)
        if own is None or own.input_digest != source.digest.hex() or not session.exists(location.object):
            return None
        if _changes(session, own, source.columns, None, writer.reading()):
            return None
        session.run(
            f"UPDATE {session.named(PUBLICATION)} SET fence = ?, attempt_id = ? WHERE target = ? AND migration_id = ?",
            (writer.fence, writer.attempt_id, writer.target, writer.migration_id),
        )
    remember_kept(session, writer)
    return Published(own.rows, writer.fence, already=True)


def withdraw(session: SqlSession, location: Location, writer: Writer, undo: Undo, content: Content) -> None:
    """After a claim: restore what was there before this migration published. Harmless where it never did, or twice.

    Raises StepFailure where a later migration has published over it: that one must be undone first; and where what is
    there, or what was kept, is not what this migration left (`stuck`). `content` reads a table of ours again.
    """
    with session.transaction():
        _hold(session, writer)
        own = _own(session, writer)
        if own is None:
            _require_nothing_forgotten(session, location, writer, undo)
        else:
            _require_as_left(session, own, writer, undo, content)
            writer.before_destructive()
            session.drop(own.object)
            if own.kept:
                session.rename(own.kept, own.object)
            session.run(
                f"UPDATE {session.named(PUBLICATION)} SET state = 'withdrawn', kept = '', fence = ?, attempt_id = ? "
                "WHERE target = ? AND migration_id = ?",
                (writer.fence, writer.attempt_id, writer.target, writer.migration_id),
            )
        writer.reach("publish_open")
    writer.reach("after_publish")


def _require_nothing_forgotten(session: SqlSession, location: Location, writer: Writer, undo: Undo) -> None:
    """Nothing of this migration is published here, as far as the ledger knows. Refuse where it should know of it."""
    ended = _publications(
        session, "target = ? AND migration_id = ? AND state = 'withdrawn'", (writer.target, writer.migration_id)
    )
    # A withdrawal carries a higher fence than any publish that it undid.
    if undo.published_fence and not any(each.fence >= undo.published_fence for each in ended):
        raise stuck.records_missing(location.object, undo)


def _require_as_left(session: SqlSession, own: _Publication, writer: Writer, undo: Undo, content: Content) -> None:
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
    kept = recorded_kept(_remembered(session, own)[1])
    differ = kept_differences(session, own.kept, kept, watched)
    if differ and not undo.discard_changes:
        raise stuck.kept_altered(own.object, own.kept, differ, undo)
