-- Migrations end one after the other: the queue is in order of priority, then of the start of the migration. Ids rise
-- with each start; where they have grown a digit, the longer one is the later.
DROP INDEX step_queue;
CREATE INDEX step_queue ON step (placement_class, priority DESC, length(migration_id), migration_id, ordinal, ready_at)
WHERE state = 'ready';
-- Migrations under way: from the first lease since their start or their retry until they stop moving.
CREATE TABLE migration_under_way (id TEXT PRIMARY KEY, source TEXT NOT NULL, destination TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO migration_under_way SELECT id, source, destination FROM migration m
WHERE state IN ('running', 'cancelling', 'rolling_back')
AND EXISTS (SELECT 1 FROM step s WHERE s.migration_id = m.id AND s.touched);
