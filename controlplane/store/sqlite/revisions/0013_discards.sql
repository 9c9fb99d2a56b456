-- Migrations whose undo may lose what others changed since: a person agreed to it.
CREATE TABLE discard (migration_id TEXT PRIMARY KEY) WITHOUT ROWID;
