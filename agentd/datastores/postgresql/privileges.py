"""Asked before the first byte moves: does the server take writes, and may this role do all that a publish needs?"""

from agentd.datastores.fences import ledger
from agentd.datastores.fences.publications import PUBLICATION
from agentd.datastores.port.datastore import Location
from agentd.datastores.port.failures import StepFailure
from agentd.datastores.postgresql.eviction import SESSION
from agentd.datastores.postgresql.place import PostgresqlPlace
from agentd.datastores.postgresql.session import PostgresqlSession

_LEDGER = (ledger.FENCE, PUBLICATION, SESSION)
_ALL_RIGHTS = (
    "SELECT bool_and(has_table_privilege(current_user, ?::oid, r)) "
    "FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS r"
)


def require_writable(session: PostgresqlSession, place: PostgresqlPlace) -> None:
    """Raise StepFailure where the server takes no writes: it is a standby, or says so by a setting.

    The setting is not overridden, although every role may: providers set it when a disk is full, and owners while they
    freeze a database.
    """
    in_recovery, read_only = session.rows(
        "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only') = 'on'"
    )[0]
    if in_recovery:
        # After a failover the name may lead to the old primary for a while.
        raise StepFailure(
            "read_only",
            f"{place.shown}: the server at {place.host}:{place.port} is a standby, which takes no writes",
            "Name the primary in the Datastore; where a failover is under way, the step is tried again by itself.",
            unreachable=True,
        )
    if read_only:
        raise StepFailure(
            "read_only",
            f"{place.shown}: default_transaction_read_only is on for role {place.user!r} in database "
            f"{place.database!r}",
            "Ask its owner why (a full disk, a freeze). Then ALTER DATABASE, or ALTER ROLE … IN DATABASE, "
            f'"{place.database}" SET default_transaction_read_only = off.',
        )


def require_privileges(
    session: PostgresqlSession, place: PostgresqlPlace, location: Location, *, replaces: bool
) -> None:
    """Raise StepFailure, with the statements that mend it, where the role may not do what a publish needs.

    `replaces`: whatever is there under the object's name gives way.
    """
    role, schema = _quoted(place.user), session.schema
    if not session.rows("SELECT to_regnamespace(quote_ident(?)) IS NOT NULL", (schema,))[0][0]:
        raise StepFailure(
            "not_found",
            f"{place.shown}: schema {schema!r} is not there",
            f"CREATE SCHEMA {_quoted(schema)} AUTHORIZATION {role}; or mend the Datastore.",
        )
    found = session.rows(
        "SELECT r FROM unnest(ARRAY['USAGE', 'CREATE']) AS r "
        "WHERE NOT has_schema_privilege(current_user, to_regnamespace(quote_ident(?)), r)",
        (schema,),
    )
    lacking = [row[0] for row in found]
    if lacking:
        raise _denied(
            place,
            f"lacks {' and '.join(lacking)} on schema {schema!r}",
            f"GRANT {', '.join(lacking)} ON SCHEMA {_quoted(schema)} TO {role};",
        )
    for table in _LEDGER:
        oid = session.oid(table)
        if oid is not None and not session.rows(_ALL_RIGHTS, (oid,))[0][0]:
            raise _denied(
                place,
                f"may not write Haulier's own table {schema}.{table}, which another role made",
                f"GRANT SELECT, INSERT, UPDATE, DELETE ON {session.named(table)} TO {role};",
            )
    if replaces:
        _require_owner(session, place, location)


def _require_owner(session: PostgresqlSession, place: PostgresqlPlace, location: Location) -> None:
    """Only its owner may rename a table away."""
    found = session.rows(
        "SELECT pg_has_role(current_user, c.relowner, 'USAGE'), r.rolname FROM pg_class c "
        "JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = ?",
        (session.oid(location.object),),
    )
    if found and not found[0][0]:
        raise _denied(
            place,
            f"does not own {location.object!r}, which {found[0][1]!r} does, and only its owner may replace it",
            f"ALTER TABLE {session.named(location.object)} OWNER TO {_quoted(place.user)}; or "
            f"GRANT {_quoted(found[0][1])} TO {_quoted(place.user)};",
        )


def _denied(place: PostgresqlPlace, what: str, remedy: str) -> StepFailure:
    return StepFailure("permission_denied", f"{place.shown}: role {place.user!r} {what}", f"As its owner: {remedy}")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
