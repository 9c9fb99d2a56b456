"""A writer's session at PostgreSQL: whatever ends it, the failure says whether a successor did, and what it left.

The server sends the same words to a session that a newer attempt ended and to all of them when it restarts. So a writer
that lost its session asks the fence: only where somebody newer holds it is the attempt over.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from agentd.datastores.fences import ledger
from agentd.datastores.port.datastore import Location, Writer
from agentd.datastores.port.failures import Fenced, StepFailure
from agentd.datastores.postgresql.eviction import forget
from agentd.datastores.postgresql.place import PostgresqlPlace
from agentd.datastores.postgresql.session import PostgresqlSession, connected


class Writing(NamedTuple):
    """A session, and the writer whose points are watched in it."""

    session: PostgresqlSession
    writer: Writer


@contextmanager
def writing(place: PostgresqlPlace, location: Location, writer: Writer, unchanged: str) -> Iterator[Writing]:
    """A writer's session. Raises Fenced where it was lost to a successor.

    Any other failure from before the commit gets `unchanged` added: what then is as it was.
    """
    reached: list[str] = []

    def reach(point: str) -> None:
        reached.append(point)
        writer.reach(point)

    try:
        with connected(place, writer.attempt_id) as session:
            try:
                yield Writing(session, replace(writer, reach=reach))
            finally:
                forget(session)
    except Fenced:
        raise
    except StepFailure as err:
        if err.unreachable:
            _ask_fence(place, location, writer)
        # From this point on the commit may have been done though nobody heard of it; the next try looks.
        if "publish_open" in reached:
            raise
        raise StepFailure(
            err.code,
            f"{err.message}; {unchanged}",
            err.hint,
            retryable=err.retryable,
            unreachable=err.unreachable,
            result=err.result,
        ) from err


def _ask_fence(place: PostgresqlPlace, location: Location, writer: Writer) -> None:
    """Raise Fenced where the destination has accepted a newer writer; say nothing where it cannot be asked."""
    try:
        with connected(place, writer.attempt_id) as session:
            session.work_in(location.object)
            ledger.require_not_stale(session, writer)
    except Fenced:
        raise
    except StepFailure:
        return
