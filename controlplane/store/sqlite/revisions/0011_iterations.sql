-- One name may run again: each run is an iteration of its own, and what the earlier ones proved stays.
CREATE TABLE iteration (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, dataset TEXT NOT NULL, workflow TEXT NOT NULL,
  workflow_generation INTEGER NOT NULL, source TEXT NOT NULL, destination TEXT NOT NULL, priority INTEGER NOT NULL,
  state TEXT NOT NULL, reason TEXT NOT NULL, created_at REAL NOT NULL, ended_at REAL,
  iteration INTEGER NOT NULL DEFAULT 1, place TEXT NOT NULL DEFAULT '',
  UNIQUE (name, iteration)
) WITHOUT ROWID;
INSERT INTO iteration
SELECT m.*, 1, coalesce((SELECT s.target FROM step s WHERE s.migration_id = m.id AND s.kind = 'load' LIMIT 1), '')
FROM migration m;
DROP TABLE migration;
ALTER TABLE iteration RENAME TO migration;
CREATE INDEX migration_open ON migration (id) WHERE state IN ('running', 'restoring', 'cancelling', 'rolling_back');
CREATE INDEX migration_asking ON migration (place) WHERE state IN ('failed', 'stuck');
CREATE INDEX migration_by_place ON migration (place);
CREATE INDEX migration_ended ON migration (ended_at)
WHERE state IN ('succeeded', 'cancelled', 'rolled_back', 'superseded', 'accepted', 'abandoned');
-- At most one iteration of a name is open.
CREATE UNIQUE INDEX migration_open_name ON migration (name)
WHERE state IN ('running', 'restoring', 'failed', 'cancelling', 'rolling_back', 'stuck');
-- The generations of the manifests that an iteration was planned from, as JSON: what a retry compares with.
CREATE TABLE basis (migration_id TEXT PRIMARY KEY, generations TEXT NOT NULL) WITHOUT ROWID;
-- A proof only reads, so it has nothing to undo.
UPDATE step SET compensatable = 0 WHERE kind = 'validate' AND direction = 'forward';
