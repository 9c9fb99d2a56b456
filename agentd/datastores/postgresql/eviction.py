"""End the sessions that earlier writers of a target left at the server, and no others.

Before any bulk work a writer records its session in `haulier_session`, beside the fence: the number of the server's
process and when that began. The two together name one session for ever. A number alone comes round again, and a name
such as `haulier/ATTEMPT` is said by whoever connects, and stays on a pooled session that long serves somebody else.

A writer also takes an advisory lock of its target. Whoever holds that lock without such a record (a writer of a release
from before there were records, or a stranger) is named and left alone: only its owner can tell what it is.
"""

import hashlib
from contextlib import suppress

from agentd.datastores.fences import ledger
from agentd.datastores.port.datastore import Writer
from agentd.datastores.port.failures import StepFailure
from agentd.datastores.postgresql.session import PostgresqlSession

SESSION = "haulier_session"
_COLUMNS = (
    "pid INTEGER NOT NULL, backend_start TIMESTAMPTZ NOT NULL, target TEXT NOT NULL, fence BIGINT NOT NULL, "
    "attempt_id TEXT NOT NULL, PRIMARY KEY (pid, backend_start)"
)
_TERMINATE_S = 10.0
# The same session: where another role's is looked at, the server keeps its beginning to itself.
_IS_SAME = "a.pid = s.pid AND a.backend_start = s.backend_start"
_MAY_BE_SAME = "a.pid = s.pid AND coalesce(a.backend_start, s.backend_start) = s.backend_start"


def evict(session: PostgresqlSession, writer: Writer) -> None:
    """Record this session, end those of earlier writers of the target, and take its advisory lock.

    Must come after a stale writer was refused: a zombie must not end its successor. Raises StepFailure (busy) where
    somebody who may not be ended holds the lock.
    """
    _record(session, writer)
    table = session.named(SESSION)
    session.rows(
        f"SELECT pg_terminate_backend(a.pid, ?) FROM pg_stat_activity a JOIN {table} s ON {_IS_SAME} "
        "WHERE a.pid <> pg_backend_pid() AND s.target = ? AND (s.fence <= ? OR s.attempt_id = ANY(?))",
        (int(_TERMINATE_S * 1000), writer.target, writer.fence, list(writer.evict)),
    )
    session.run(f"DELETE FROM {table} s WHERE NOT EXISTS (SELECT FROM pg_stat_activity a WHERE {_MAY_BE_SAME})")
    if not session.rows("SELECT pg_try_advisory_lock(?)", (_lock_of(writer),))[0][0]:
        # Perhaps a successor came in between.
        ledger.require_not_stale(session, writer)
        raise _held(session, writer)


def forget(session: PostgresqlSession) -> None:
    """Remove this session's record; what cannot be removed now is swept away by the next writer."""
    with suppress(Exception):
        table = session.named(SESSION)
        session.run(f"DELETE FROM {table} s USING pg_stat_activity a WHERE {_IS_SAME} AND a.pid = pg_backend_pid()")


def _record(session: PostgresqlSession, writer: Writer) -> None:
    table = session.named(SESSION)
    if not session.exists(SESSION):
        with session.transaction():
            session.make_tables_alone()
            session.run(f"CREATE TABLE IF NOT EXISTS {table} ({_COLUMNS})")
    session.run(
        f"INSERT INTO {table} SELECT a.pid, a.backend_start, ?, ?, ? FROM pg_stat_activity a "
        "WHERE a.pid = pg_backend_pid()",
        (writer.target, writer.fence, writer.attempt_id),
    )


def _lock_of(writer: Writer) -> int:
    return int.from_bytes(hashlib.blake2b(writer.target.encode(), digest_size=8).digest(), signed=True)


def _held(session: PostgresqlSession, writer: Writer) -> StepFailure:
    """Failure for a target whose lock is held, naming who holds it."""
    found = session.rows(
        "SELECT a.pid, a.usename, a.application_name, a.backend_start::text FROM pg_locks l "
        "JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
        "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND ((l.classid::bigint << 32) | l.objid::bigint) = ?",
        (_lock_of(writer),),
    )
    who = "".join(
        f": server process {pid} of role {role!r}, named {name!r}" + (f", since {since}" if since else "")
        for pid, role, name, since in found
    )
    pid = found[0][0] if found else "PID"
    return StepFailure(
        "busy",
        f"another session holds target {writer.target!r}, and it recorded nothing by which it could be ended{who}",
        "It ends with its connection; where it is left over, its role or a superuser ends it with "
        f"SELECT pg_terminate_backend({pid}).",
        retryable=True,
    )
