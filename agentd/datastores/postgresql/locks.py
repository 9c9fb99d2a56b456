"""Taking a table for oneself in PostgreSQL without making others queue, and naming who holds it."""

from collections.abc import Sequence
from typing import Any, Protocol

import psycopg

from agentd.datastores.waiting.patience import Holder, Patience

# A try for a lock: shorter than anybody notices who queues behind it.
TRY_S = 0.3
# The server ends its own clean-up only for somebody who waited for deadlock_timeout, which is 1 s unless set.
TRY_AGAINST_SERVER_S = 1.5


class Session(Protocol):
    """What is needed of a session."""

    connection: psycopg.Connection[Any]

    def run(self, sql: str, params: tuple[object, ...] = ()) -> int:
        """Execute."""

    def rows(self, sql: str, params: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""

    def named(self, table: str) -> str:
        """Quoted schema.table as text."""

    def oid(self, table: str) -> int | None:
        """Object id of a table or view, None where there is none."""


def lock_patiently(session: Session, tables: Sequence[str], patience: Patience, mode: str = "ACCESS EXCLUSIVE") -> None:
    """Within a transaction: hold these tables in this mode until its end; all at once, or none while waiting.

    What is not a plain table is left alone. Raises StepFailure (busy) where the patience ends.
    """
    plain = [
        table
        for table in tables
        if session.rows("SELECT relkind::text FROM pg_class WHERE oid = ?", (session.oid(table),)) == [("r",)]
    ]
    if not plain:
        return
    wanted = ", ".join(map(session.named, plain))
    ((usual,),) = session.rows("SELECT current_setting('lock_timeout')")
    try_s = TRY_S
    while True:
        try:
            with session.connection.transaction():
                _set_timeout(session, f"{int(try_s * 1000)}ms")
                session.run(f"LOCK TABLE {wanted} IN {mode} MODE")
                _set_timeout(session, usual)
                return
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            pass
        found = _holders(session, plain)
        try_s = TRY_AGAINST_SERVER_S if any(not user for _, user in found) else TRY_S
        patience.bear(f"a lock on {plain[0]!r}", [holder for holder, _ in found])


def _set_timeout(session: Session, value: str) -> None:
    session.rows("SELECT set_config('lock_timeout', ?, true)", (value,))


def _holders(session: Session, tables: Sequence[str]) -> list[tuple[Holder, str]]:
    """Who holds any lock on the tables, longest first, with the user's name; "" where it is a process of the server's.

    A role that may not read others' activity sees their pid and user, and not since when.
    """
    rows = session.rows(
        "SELECT DISTINCT l.pid, a.usename::text, a.application_name, "
        "extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.backend_start))::float8 "
        "FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'relation' AND l.granted "
        "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) "
        "AND l.relation = ANY(?) AND l.pid IS DISTINCT FROM pg_backend_pid() ORDER BY 4 DESC NULLS LAST, 1",
        ([session.oid(table) for table in tables],),
    )
    return [_holder(*row) for row in rows]


def _holder(pid: int | None, user: str | None, application: str | None, held_s: float | None) -> tuple[Holder, str]:
    if pid is None:
        hint = "See pg_prepared_xacts; COMMIT PREPARED or ROLLBACK PREPARED ends it."
        return Holder("a prepared transaction", None, hint), "prepared"
    if not user:
        return Holder(f"pid {pid} of the server itself", held_s), ""
    known_as = f" ({application[:40]})" if application else ""
    hint = f"End its transaction there, or SELECT pg_terminate_backend({pid})."
    return Holder(f"pid {pid} of user {user!r}{known_as}", held_s, hint), user
