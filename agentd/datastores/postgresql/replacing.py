"""Putting a table in the place of another in PostgreSQL: what would be lost is refused, what can be is given to it.

Within one transaction, with the old table locked: privileges and owner are carried over, and the primary key's index
gets the name that the old one's had. Index names are unique in a schema, so the old one's index gives its name up for
as long as it is kept.
"""

from collections.abc import Iterable
from typing import Any, Protocol

from psycopg import sql as pgsql

from agentd.datastores.port.definitions import Definition, Waiver, require_waived
from agentd.datastores.port.failures import StepFailure
from agentd.datastores.postgresql.definitions import definitions

IDENTIFIER_BYTES_MAX = 63


class Session(Protocol):
    """What is needed of a session."""

    def run(self, sql: str, params: tuple[object, ...] = ()) -> int:
        """Execute."""

    def rows(self, sql: str, params: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""

    def named(self, table: str) -> str:
        """Quoted schema.table as text."""

    def oid(self, table: str) -> int | None:
        """Object id of a table or view, None where there is none."""


def object_name(*parts: str) -> str:
    """The parts joined by "_" as PostgreSQL names what it makes, at most 63 bytes: the longest part is cut."""
    cut = [part.encode() for part in parts]
    while sum(map(len, cut)) + len(cut) - 1 > IDENTIFIER_BYTES_MAX:
        longest = max(range(len(cut)), key=lambda index: len(cut[index]))
        cut[longest] = cut[longest][:-1].decode(errors="ignore").encode()
    return "_".join(part.decode() for part in cut)


def guard(session: Session, table: str, waivers: Iterable[Waiver], carried: frozenset[str]) -> list[Definition]:
    """What a replacement of the table would lose, as it was waived.

    Raises StepFailure where it is not a plain table, or would lose what was not waived.
    """
    ((oid, kind),) = session.rows("SELECT oid, relkind::text FROM pg_class WHERE oid = ?", (session.oid(table),))
    if kind != "r":
        raise StepFailure(
            "cannot_replace", f"{table!r} is not a plain table, so it cannot be replaced", "Choose another object."
        )
    found = definitions(session, oid)
    ((space, method),) = session.rows(
        "SELECT current_setting('default_tablespace'), current_setting('default_table_access_method')"
    )
    of_the_server = {Definition("storage", f"tablespace {space}"), Definition("storage", f"access method {method}")}
    owner = [] if _owner_can_be_given(session, oid) else _owner(session, oid)
    return require_waived(table, [*(each for each in found if each not in of_the_server), *owner], waivers, carried)


def _owner_can_be_given(session: Session, oid: int) -> bool:
    """Whether the new table can belong to whom the old one does."""
    ((can_be,),) = session.rows(
        "SELECT r.rolname = current_user OR (pg_has_role(current_user, r.oid, 'MEMBER') "
        "AND has_schema_privilege(r.oid, c.relnamespace, 'CREATE')) FROM pg_class c "
        "JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = ?",
        (oid,),
    )
    return bool(can_be)


def _owner(session: Session, oid: int) -> list[Definition]:
    rows = session.rows("SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid = ?", (oid,))
    return [Definition("owner", name) for (name,) in rows]


def settle(session: Session, old: str, new: str) -> None:
    """Give the new table the old one's privileges and its owner."""
    give_privileges(session, old, new)
    ((owner, is_other),) = session.rows(
        "SELECT quote_ident(r.rolname), r.rolname <> current_user FROM pg_class c "
        "JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = ?",
        (session.oid(old),),
    )
    if is_other and _owner_can_be_given(session, session.oid(old) or 0):
        session.run(f"ALTER TABLE {session.named(new)} OWNER TO {owner}")


def give_privileges(session: Session, old: str, new: str) -> None:
    """Give the new table the old one's privileges, neither fewer nor more."""
    for (grantee,) in session.rows(
        "SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END FROM pg_class c "
        "CROSS JOIN aclexplode(c.relacl) AS a LEFT JOIN pg_roles r ON r.oid = a.grantee "
        "WHERE c.oid = ? AND a.grantee <> c.relowner",
        (session.oid(new),),
    ):
        # The schema's default privileges may give more than the old table did.
        session.run(f"REVOKE ALL ON {session.named(new)} FROM {grantee}")
    grants = session.rows(
        "SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END, a.privilege_type, "
        "a.is_grantable FROM pg_class c CROSS JOIN aclexplode(c.relacl) AS a "
        "LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE c.oid = ? AND a.grantee <> c.relowner",
        (session.oid(old),),
    )
    for grantee, privilege, grantable in grants:
        option = " WITH GRANT OPTION" if grantable else ""
        session.run(f"GRANT {privilege} ON {session.named(new)} TO {grantee}{option}")


def key_name(session: Session, table: str) -> str:
    """Name of the table's primary key; "" where it has none."""
    rows = session.rows(
        "SELECT conname::text FROM pg_constraint WHERE conrelid = ? AND contype = 'p'", (session.oid(table),)
    )
    return rows[0][0] if rows else ""


def name_key(session: Session, table: str, wanted: str) -> None:
    """Give the table's primary key the wanted name; where none is wanted, the one that PostgreSQL would give it."""
    found = key_name(session, table)
    if not found or found == wanted:
        return
    new = wanted or _free_name(session, table)
    session.run(f"ALTER TABLE {session.named(table)} RENAME CONSTRAINT {_quoted(found)} TO {_quoted(new)}")


def _free_name(session: Session, table: str) -> str:
    """TABLE_pkey, TABLE_pkey1, …: the first that no other relation of the schema has."""
    ((name, schema),) = session.rows(
        "SELECT relname::text, relnamespace FROM pg_class WHERE oid = ?", (session.oid(table),)
    )
    number = 0
    while True:
        wanted = object_name(name, f"pkey{number or ''}")
        if not session.rows("SELECT 1 FROM pg_class WHERE relname = ? AND relnamespace = ?", (wanted, schema)):
            return wanted
        number += 1


def _quoted(name: str) -> str:
    return pgsql.Identifier(name).as_string(None)
