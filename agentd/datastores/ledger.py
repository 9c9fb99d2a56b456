"""The fence inside an SQL database, and what was published behind it.

Two small tables live beside the data. `haulier_fence` has one row per write target: the highest fence ever accepted
and whose it is. `haulier_publication` has one row per (target, migration): which object it published, from which
input, and the name under which the content that was there before is kept for undo.

A writer first *claims*: a short transaction that raises its fence, so a stale writer is refused before it moves a
row. Bulk data then goes to a staging table of the attempt's own. *Publish* is one short transaction: our claim still
stands (guarded update of one row) → what is there is renamed away → staging is renamed in → the publication is
recorded → commit. Whoever claimed in between makes the guarded update match no row, and the transaction is rolled
back.

Written once for SQLite, DuckDB and PostgreSQL, over the few operations of `SqlSession`.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from agentd.datastores.failures import Fenced, StepFailure
from agentd.datastores.port import FenceRecord, Input, Location, Published, Writer

PREFIX = "haulier_"
FENCE = "haulier_fence"
PUBLICATION = "haulier_publication"

FENCE_COLUMNS = "target TEXT PRIMARY KEY, fence BIGINT NOT NULL, attempt_id TEXT NOT NULL, staging TEXT NOT NULL"
PUBLICATION_COLUMNS = (
    "target TEXT NOT NULL, migration_id TEXT NOT NULL, place BIGINT NOT NULL, object TEXT NOT NULL, "
    "kept TEXT NOT NULL, input_digest TEXT NOT NULL, row_count BIGINT NOT NULL, fence BIGINT NOT NULL, "
    "attempt_id TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (target, migration_id)"
)


class SqlSession(Protocol):
    """What the ledger needs of an engine's connection. SQL uses `?` for parameters; names are already quoted."""

    def run(self, sql: str, params: Sequence[object] = ()) -> int:
        """Execute and return the number of rows changed."""

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""

    def transaction(self) -> AbstractContextManager[None]:
        """Commit at the end, roll back on any exception."""

    def make_tables_alone(self) -> None:
        """Within a transaction: wait until no other writer makes tables of ours, and keep them out until its end."""

    def named(self, table: str) -> str:
        """The table's quoted, qualified name."""

    def exists(self, table: str) -> bool:
        """Whether a table or view of this name is there."""

    def rename(self, table: str, name: str) -> None:
        """Rename a table within its schema."""

    def drop(self, table: str) -> None:
        """Drop a table if it is there."""

    def guard_replace(self, table: str) -> None:
        """Refuse by StepFailure to rename away a table on which others depend."""

    def settle(self, old: str, new: str) -> None:
        """Give the new table what consumers had on the old one, such as grants."""


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
    """Create the ledger's tables where they are not there yet."""
    if session.exists(FENCE) and session.exists(PUBLICATION):
        return
    with session.transaction():
        session.make_tables_alone()
        session.run(f"CREATE TABLE IF NOT EXISTS {session.named(FENCE)} ({FENCE_COLUMNS})")
        session.run(f"CREATE TABLE IF NOT EXISTS {session.named(PUBLICATION)} ({PUBLICATION_COLUMNS})")


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


def require_room(session: SqlSession, location: Location, writer: Writer, source: Input) -> None:
    """Refuse early, before any bulk work, an object that is there and is not ours to replace."""
    if not session.exists(location.object):
        return
    top = _on_top(session, location.object)
    if top is None or top.target != writer.target:
        if not source.replace:
            raise already_there(location.object)
        session.guard_replace(location.object)


def already_there(found: str) -> StepFailure:
    """Failure for an object that Haulier did not publish for this target and may not replace."""
    return StepFailure(
        "object_exists",
        f"{found!r} is already at the destination and was not published there by Haulier for this target",
        "Choose another object, drop it, or set `ifExists: replace` to keep the old content for undo and replace it.",
    )


def stage_and_publish(
    session: SqlSession, location: Location, writer: Writer, source: Input, stage: Callable[[str], int]
) -> Published:
    """After a claim: let `stage` fill a staging table, then publish it. Whatever fails, no staging table is left."""
    staging = staging_of(writer)
    require_room(session, location, writer, source)
    try:
        rows = stage(staging)
        writer.reach("before_publish")
        publish(session, location, writer, source, staging, rows)
    except BaseException:
        # What failed is what counts; the next claim drops the table where this connection no longer can.
        with suppress(Exception):
            session.drop(staging)
        raise
    return Published(rows, writer.fence)


def publish(session: SqlSession, location: Location, writer: Writer, source: Input, staging: str, rows: int) -> None:
    """The short transaction that makes `staging` the object's content. Raises Fenced where our claim was
    overtaken."""
    with session.transaction():
        _hold(session, writer)
        own = _own(session, writer)
        kept = ""
        if own is not None:
            # Our own earlier output gives way; what was there before this migration stays kept for undo.
            kept = own.kept
            session.drop(own.object)
        elif session.exists(location.object):
            require_room(session, location, writer, source)
            kept = short_name("kept", writer.target, writer.migration_id, writer.attempt_id)
            session.rename(location.object, kept)
        session.rename(staging, location.object)
        if kept:
            session.settle(kept, location.object)
        _record(session, location, writer, source, kept, rows)
        writer.reach("publish_open")
    writer.reach("after_publish")


def _record(session: SqlSession, location: Location, writer: Writer, source: Input, kept: str, rows: int) -> None:
    table = session.named(PUBLICATION)
    place = session.rows(f"SELECT coalesce(max(place), 0) + 1 FROM {table}")[0][0]
    session.run(
        f"DELETE FROM {table} WHERE target = ? AND migration_id = ?",
        (writer.target, writer.migration_id),
    )
    session.run(
        f"INSERT INTO {table} (target, migration_id, place, object, kept, input_digest, row_count, fence, "
        "attempt_id, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'published')",
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
        ),
    )


def adopt(session: SqlSession, location: Location, writer: Writer, source: Input) -> Published | None:
    """After a claim: put the writer's fence on this migration's own publish of the same input, if that is what is
    there."""
    with session.transaction():
        _hold(session, writer)
        own = _own(session, writer)
        if own is None or own.input_digest != source.digest.hex() or not session.exists(location.object):
            return None
        session.run(
            f"UPDATE {session.named(PUBLICATION)} SET fence = ?, attempt_id = ? WHERE target = ? AND migration_id = ?",
            (writer.fence, writer.attempt_id, writer.target, writer.migration_id),
        )
        return Published(own.rows, writer.fence, already=True)


def withdraw(session: SqlSession, writer: Writer) -> None:
    """After a claim: restore what was there before this migration published. Harmless where it never did, or twice.

    Raises StepFailure where a later migration has published over it: that one must be undone first.
    """
    with session.transaction():
        _hold(session, writer)
        own = _own(session, writer)
        if own is not None:
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
