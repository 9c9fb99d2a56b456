-- Old history may go: attempts and parameters of migrations that ended long ago, and events that lie in archive files.
CREATE TABLE compacted_migration (id TEXT PRIMARY KEY, compacted_at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX migration_ended ON migration (ended_at) WHERE state IN ('succeeded', 'cancelled', 'rolled_back');
INSERT INTO meta VALUES ('archived_position', '0');
-- Only what was archived before may be deleted; the audit log itself says up to where that is.
DROP TRIGGER event_kept;
CREATE TRIGGER event_kept BEFORE DELETE ON event
WHEN OLD.position > (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'archived_position')
BEGIN SELECT raise(ABORT, 'the event log is append-only'); END;
