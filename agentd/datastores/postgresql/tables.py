"""What PostgreSQL says of a table, and its rows as it holds them: what tells a table again (`as_published`)."""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql as pgsql

from agentd.datastores.fences.as_published import Traits, defined_by
from agentd.datastores.port.datastore import BATCH_ROWS

_KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table"}

_COLUMNS = (
    "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' not null' ELSE '' "
    "END || CASE WHEN a.attidentity <> '' THEN ' identity' WHEN a.attgenerated <> '' THEN ' generated' "
    "WHEN d.oid IS NOT NULL THEN ' with a default' ELSE '' END, pg_get_expr(d.adbin, d.adrelid) FROM pg_attribute a "
    "LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
    "WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
)
# What would go with the table, or would no longer hold for it. NOT NULL is said with the columns.
_ATTACHED = (
    "SELECT 'constraint ' || conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE conrelid = %(oid)s AND contype <> 'n' UNION ALL "
    "SELECT 'index ' || c.relname, pg_get_indexdef(c.oid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "WHERE i.indrelid = %(oid)s AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid) UNION ALL "
    "SELECT 'trigger ' || tgname, '' FROM pg_trigger WHERE tgrelid = %(oid)s AND NOT tgisinternal UNION ALL "
    "SELECT 'rule ' || rulename, '' FROM pg_rewrite WHERE ev_class = %(oid)s AND rulename <> '_RETURN' UNION ALL "
    "SELECT 'policy ' || polname, '' FROM pg_policy WHERE polrelid = %(oid)s UNION ALL "
    "SELECT 'row security', '' FROM pg_class WHERE oid = %(oid)s AND relrowsecurity UNION ALL "
    "SELECT 'publication ' || p.pubname, '' FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid "
    "WHERE r.prrelid = %(oid)s UNION ALL "
    "SELECT 'child table ' || inhrelid::regclass::text, '' FROM pg_inherits WHERE inhparent = %(oid)s UNION ALL "
    "SELECT 'parent table ' || inhparent::regclass::text, '' FROM pg_inherits WHERE inhrelid = %(oid)s ORDER BY 1, 2"
)


def traits(connection: psycopg.Connection[Any], oid: int | None, ledger_oid: int | None) -> Traits | None:
    """The relation of this oid; None where there is none. The mark is OID/OID OF THE LEDGER: a dump that is restored
    gives both anew."""
    row = connection.execute("SELECT relkind::text FROM pg_class WHERE oid = %s", (oid,)).fetchone()
    if row is None:
        return None
    found = connection.execute(_COLUMNS.encode(), (oid,)).fetchall()
    hanging = connection.execute(_ATTACHED.encode(), {"oid": oid}).fetchall()
    columns = tuple((str(name), str(spelled)) for name, spelled, _ in found)
    texts = [default for *_, default in found], [text for _, text in hanging]
    mark, attached = f"{oid}/{ledger_oid}", tuple(str(name) for name, _ in hanging)
    return Traits(_KINDS.get(row[0], "relation"), mark, columns, attached, defined_by(*texts))


def named_now(connection: psycopg.Connection[Any], mark: str, ledger_oid: int | None) -> str:
    """The name that the table of this mark has now, with its schema; "" where it is gone."""
    oid, _, ledger = mark.partition("/")
    if ledger != str(ledger_oid):
        return ""
    row = connection.execute(
        "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE c.oid = %s",
        (int(oid),),
    ).fetchone()
    return "" if row is None else str(row[0])


def row_sums(connection: psycopg.Connection[Any], table: pgsql.Identifier) -> Iterator[Sequence[int]]:
    """A number for each row, by the text of its values."""
    statement = pgsql.SQL("COPY (SELECT hashtextextended(haulier_row::text, 0) FROM {} AS haulier_row) TO STDOUT")
    left = b""
    with connection.cursor().copy(statement.format(table)) as copy:
        sums: list[int] = []
        for block in copy:
            *lines, left = (left + bytes(block)).split(b"\n")
            sums += map(int, lines)
            if len(sums) >= BATCH_ROWS:
                yield sums
                sums = []
        if sums:
            yield sums
