-- How long what a migration leaves behind is kept, and when its clean-up was planned; NULL: by the configuration, not yet.
CREATE TABLE clean_up (
  migration_id TEXT PRIMARY KEY, staged_s REAL, former_s REAL, staged_planned_at REAL, former_planned_at REAL
) WITHOUT ROWID;
CREATE INDEX clean_up_open ON clean_up (migration_id) WHERE staged_planned_at IS NULL OR former_planned_at IS NULL;
INSERT INTO clean_up SELECT id, NULL, NULL, NULL, NULL FROM migration
WHERE id NOT IN (SELECT id FROM compacted_migration);
