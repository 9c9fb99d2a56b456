"""The records of publishes in an SQL database: what was published there for whom, and what of before is kept."""

from dataclasses import dataclass

from agentd.datastores.fences.sql_session import SqlSession
from agentd.datastores.port.datastore import Input, Location, Writer
from agentd.datastores.port.failures import StepFailure

PUBLICATION = "haulier_publication"
PUBLICATION_COLUMNS = (
    "target TEXT NOT NULL, migration_id TEXT NOT NULL, place BIGINT NOT NULL, object TEXT NOT NULL, "
    "kept TEXT NOT NULL, input_digest TEXT NOT NULL, row_count BIGINT NOT NULL, fence BIGINT NOT NULL, "
    "attempt_id TEXT NOT NULL, state TEXT NOT NULL, PRIMARY KEY (target, migration_id)"
)
# Added to the ledgers of earlier releases, whose publications are empty there: they are told by their rows alone.
IDENTITY_COLUMNS = ("identity", "kept_identity")


@dataclass(frozen=True, slots=True)
class Publication:
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
        """Whether the writer's migration made it, for the writer's target."""
        return (self.target, self.migration_id) == (writer.target, writer.migration_id)


_FIELDS = "target, migration_id, object, kept, input_digest, row_count, fence, state"


def publications(session: SqlSession, where: str, params: tuple[object, ...]) -> list[Publication]:
    """Publications that match, newest first. `where` is a literal of ours."""
    table = session.named(PUBLICATION)
    rows = session.rows(f"SELECT {_FIELDS} FROM {table} WHERE {where} ORDER BY place DESC", params)
    return [Publication(*row) for row in rows]


def newest_of(session: SqlSession, target: str) -> Publication | None:
    """What was published last for the target."""
    found = publications(session, "target = ? AND state = 'published'", (target,))
    return found[0] if found else None


def top_of(session: SqlSession, table: str) -> Publication | None:
    """Who published the object last, whatever the target."""
    found = publications(session, "object = ? AND state = 'published'", (table,))
    return found[0] if found else None


def publication_of(session: SqlSession, writer: Writer) -> Publication | None:
    """This migration's live publication; raises StepFailure where another has published over it."""
    found = publications(
        session,
        "target = ? AND migration_id = ? AND state = 'published'",
        (writer.target, writer.migration_id),
    )
    if not found:
        return None
    top = top_of(session, found[0].object)
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


def record_publication(
    session: SqlSession,
    location: Location,
    writer: Writer,
    source: Input,
    kept: str,
    rows: int,
    identities: tuple[str, str],
) -> None:
    """Within a transaction: remember this publish in the place of the migration's earlier one."""
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


def remembered(session: SqlSession, own: Publication) -> tuple[str, str]:
    """What tells the published and the kept table again; "" where an earlier release recorded the publish."""
    rows = session.rows(
        f"SELECT coalesce(identity, ''), coalesce(kept_identity, '') FROM {session.named(PUBLICATION)} "
        "WHERE target = ? AND migration_id = ?",
        (own.target, own.migration_id),
    )
    return rows[0][0], rows[0][1]
