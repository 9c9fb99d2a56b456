"""Which PostgreSQL roles may run SQL that came from a manifest: those that cannot leave the database."""

from agentd.datastores.port.failures import StepFailure
from agentd.datastores.postgresql.place import PostgresqlPlace
from agentd.datastores.postgresql.session import PostgresqlSession

# Members of these run programs or touch files on the database's host.
_ESCAPING = ("pg_execute_server_program", "pg_read_server_files", "pg_write_server_files")


def require_ordinary_role(session: PostgresqlSession, place: PostgresqlPlace) -> None:
    """Raise StepFailure for a superuser, a member of a server-file or program role, or a schema that is not there."""
    ((is_super, escaping, has_schema),) = session.rows(
        "SELECT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user), "
        "ARRAY(SELECT r.rolname::text FROM pg_roles r WHERE r.rolname = ANY(?) "
        "AND pg_has_role(current_user, r.oid, 'MEMBER')), to_regnamespace(quote_ident(?)) IS NOT NULL",
        (list(_ESCAPING), place.schema),
    )
    if is_super or escaping:
        what = "is a superuser" if is_super else f"is a member of {', '.join(escaping)}"
        raise StepFailure(
            "role_too_powerful",
            f"datastore {place.name!r}: role {place.user!r} {what}, so SQL could leave the database",
            "Give Haulier an ordinary role with rights on its schema only.",
        )
    if not has_schema:
        raise StepFailure(
            "not_found",
            f"datastore {place.name!r}: schema {place.schema!r} is not there or not visible to {place.user!r}",
            f'CREATE SCHEMA "{place.schema}" AUTHORIZATION "{place.user}", or mend the Datastore.',
        )
