"""What hangs on a PostgreSQL table or view beside its rows, read from the catalogue in one query.

PostgreSQL ties all of this to the table's own id and not to its name, so none of it follows a name to another table.
"""

from typing import Any, Protocol

from agentd.datastores.port.definitions import Definition, in_order


class Session(Protocol):
    """What is needed of a session."""

    def rows(self, sql: str, params: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""


# Each yields (kind, name) for the relation `t.oid`. Names of other relations are qualified.
_PARTS = (
    # Who may see and change which rows.
    "SELECT 'row_security', CASE WHEN relforcerowsecurity THEN 'forced' ELSE 'enabled' END FROM t WHERE relrowsecurity",
    "SELECT 'policy', polname::text FROM t JOIN pg_policy ON polrelid = t.oid",
    "SELECT 'publication', pubname::text FROM t JOIN pg_publication_rel ON prrelid = t.oid "
    "JOIN pg_publication p ON p.oid = prpubid",
    "SELECT 'subscription', subname::text FROM t JOIN pg_subscription_rel ON srrelid = t.oid "
    "JOIN pg_subscription s ON s.oid = srsubid",
    "SELECT 'grant', CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END || ': ' || "
    "string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type) FROM t, aclexplode(t.relacl) a "
    "WHERE a.grantee <> t.relowner GROUP BY a.grantee",
    "SELECT 'column_grant', attname::text FROM c WHERE attacl IS NOT NULL",
    # What rows must be.
    "SELECT 'primary_key', string_agg(c.attname, ', ' ORDER BY n.place) FROM t JOIN pg_constraint k "
    "ON k.conrelid = t.oid AND k.contype = 'p' CROSS JOIN unnest(k.conkey) WITH ORDINALITY n(attnum, place) "
    "JOIN c ON c.attnum = n.attnum GROUP BY k.oid",
    "SELECT CASE contype WHEN 'u' THEN 'unique' WHEN 'c' THEN 'check' WHEN 'x' THEN 'exclusion' "
    "ELSE 'foreign_key' END, "
    "conname::text FROM t JOIN pg_constraint ON conrelid = t.oid AND contype IN ('u', 'c', 'x', 'f')",
    "SELECT 'referencing_key', n.nspname || '.' || r.relname || '.' || conname FROM t JOIN pg_constraint "
    "ON confrelid = t.oid AND contype = 'f' AND conrelid <> t.oid AND conparentid = 0 "
    "JOIN pg_class r ON r.oid = conrelid JOIN pg_namespace n ON n.oid = r.relnamespace",
    "SELECT 'index', i.relname::text FROM t JOIN pg_index x ON x.indrelid = t.oid "
    "JOIN pg_class i ON i.oid = x.indexrelid "
    "WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = t.oid AND k.conindid = x.indexrelid)",
    "SELECT 'not_null', attname::text FROM c WHERE attnotnull",
    # What the engine fills in.
    "SELECT 'default', attname::text FROM c JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum "
    "WHERE attgenerated = ''",
    "SELECT 'identity', attname::text FROM c WHERE attidentity <> ''",
    "SELECT 'generated', attname::text FROM c WHERE attgenerated <> ''",
    "SELECT 'sequence', s.relname::text FROM t JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass "
    "AND d.refobjid = t.oid AND d.classid = 'pg_class'::regclass AND d.deptype = 'a' "
    "JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'",
    # What happens with it, and who reads it.
    "SELECT 'trigger', tgname::text FROM t JOIN pg_trigger ON tgrelid = t.oid AND NOT tgisinternal",
    "SELECT 'rule', rulename::text FROM t JOIN pg_rewrite ON ev_class = t.oid AND rulename <> '_RETURN'",
    "SELECT DISTINCT 'view', n.nspname || '.' || v.relname FROM t JOIN pg_depend d "
    "ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND d.classid = 'pg_rewrite'::regclass "
    "JOIN pg_rewrite w ON w.oid = d.objid "
    "JOIN pg_class v ON v.oid = w.ev_class AND v.oid <> t.oid JOIN pg_namespace n ON n.oid = v.relnamespace",
    "SELECT DISTINCT 'dependent', pg_describe_object(d.classid, d.objid, 0) FROM t JOIN pg_depend d ON d.deptype = 'n' "
    "AND ((d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid) OR (d.refclassid = 'pg_type'::regclass "
    "AND d.refobjid IN (SELECT y.oid FROM pg_type y WHERE y.typrelid = t.oid UNION ALL "
    "SELECT y.typarray FROM pg_type y WHERE y.typrelid = t.oid))) "
    "WHERE d.classid NOT IN ('pg_rewrite'::regclass, 'pg_constraint'::regclass, 'pg_publication_rel'::regclass) "
    "AND NOT EXISTS (SELECT FROM pg_policy o WHERE d.classid = 'pg_policy'::regclass AND o.oid = d.objid "
    "AND o.polrelid = t.oid) "
    "AND NOT EXISTS (SELECT FROM pg_trigger o WHERE d.classid = 'pg_trigger'::regclass AND o.oid = d.objid "
    "AND o.tgrelid = t.oid) "
    "AND NOT EXISTS (SELECT FROM pg_attrdef o WHERE d.classid = 'pg_attrdef'::regclass AND o.oid = d.objid "
    "AND o.adrelid = t.oid) "
    "AND NOT EXISTS (SELECT FROM pg_statistic_ext o WHERE d.classid = 'pg_statistic_ext'::regclass AND o.oid = d.objid "
    "AND o.stxrelid = t.oid) "
    "AND NOT EXISTS (SELECT FROM pg_index o WHERE d.classid = 'pg_class'::regclass AND o.indexrelid = d.objid) "
    "AND NOT EXISTS (SELECT FROM pg_inherits o WHERE d.classid = 'pg_class'::regclass AND o.inhrelid = d.objid "
    "AND o.inhparent = t.oid)",
    "SELECT 'replica_identity', CASE relreplident WHEN 'f' THEN 'full' WHEN 'n' THEN 'nothing' ELSE 'index' END "
    "FROM t WHERE relkind IN ('r', 'p') AND relreplident <> 'd'",
    # Its relations.
    "SELECT 'partition', 'by ' || pg_get_partkeydef(oid) FROM t WHERE relkind = 'p'",
    "SELECT CASE WHEN t.relispartition THEN 'partition' ELSE 'inheritance' END, 'of ' || n.nspname || '.' || r.relname "
    "FROM t JOIN pg_inherits ON inhrelid = t.oid JOIN pg_class r ON r.oid = inhparent "
    "JOIN pg_namespace n ON n.oid = r.relnamespace",
    "SELECT 'inheritance', 'by ' || n.nspname || '.' || r.relname FROM t JOIN pg_inherits ON inhparent = t.oid "
    "AND t.relkind <> 'p' JOIN pg_class r ON r.oid = inhrelid JOIN pg_namespace n ON n.oid = r.relnamespace",
    # What is said about it, and how it is stored.
    "SELECT 'comment', coalesce(c.attname, t.relname)::text FROM t JOIN pg_description s ON s.objoid = t.oid "
    "AND s.classoid = 'pg_class'::regclass LEFT JOIN c ON c.attnum = s.objsubid",
    "SELECT DISTINCT 'security_label', provider FROM t JOIN pg_seclabel s ON s.objoid = t.oid "
    "AND s.classoid = 'pg_class'::regclass",
    "SELECT 'storage', 'unlogged' FROM t WHERE relpersistence = 'u'",
    "SELECT 'storage', 'tablespace ' || spcname FROM t JOIN pg_tablespace s ON s.oid = reltablespace",
    "SELECT 'storage', 'access method ' || amname FROM t JOIN pg_am m ON m.oid = relam WHERE amname <> 'heap'",
    "SELECT 'storage', o FROM t, unnest(reloptions) o WHERE relkind IN ('r', 'p')",
    "SELECT 'storage', 'column ' || attname FROM c JOIN pg_type y ON y.oid = atttypid "
    "WHERE attstorage <> typstorage OR attcompression <> '' OR coalesce(attstattarget, -1) <> -1 "
    "OR attoptions IS NOT NULL",
    "SELECT 'statistics', stxname::text FROM t JOIN pg_statistic_ext ON stxrelid = t.oid",
    "SELECT 'collation', attname || ': ' || collname FROM c JOIN pg_type y ON y.oid = atttypid "
    "JOIN pg_collation l ON l.oid = attcollation WHERE attcollation <> typcollation",
)
_ALL = (
    "WITH t AS (SELECT * FROM pg_class WHERE oid = ?), "
    "c AS (SELECT a.* FROM pg_attribute a JOIN t ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped) "
    + " UNION ALL ".join(_PARTS)
)


def definitions(session: Session, oid: int) -> list[Definition]:
    """Everything that hangs on a relation but its columns' types, in order."""
    return in_order(Definition(kind, name) for kind, name in session.rows(_ALL, (oid,)))
