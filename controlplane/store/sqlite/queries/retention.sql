-- name: expired_migrations
-- Migrations that ended before an instant, that were cleaned up, and that nobody has compacted.
SELECT id FROM migration m WHERE state IN ('succeeded', 'cancelled', 'rolled_back', 'superseded', 'accepted', 'abandoned') AND ended_at < ?
AND NOT EXISTS (SELECT 1 FROM compacted_migration c WHERE c.id = m.id)
AND NOT EXISTS (SELECT 1 FROM clean_up k WHERE k.migration_id = m.id
  AND (k.staged_planned_at IS NULL OR k.former_planned_at IS NULL))
AND NOT EXISTS (SELECT 1 FROM step s WHERE s.migration_id = m.id AND s.state IN ('ready', 'leased'))
ORDER BY ended_at LIMIT +?;

-- name: is_compacted
-- Whether a migration's attempts and parameters are gone.
SELECT 1 FROM compacted_migration WHERE id = ?;

-- name: mark_compacted
-- A migration whose attempts and parameters go.
INSERT INTO compacted_migration (id, compacted_at) VALUES (?, ?);

-- name: drop_attempts
-- Forget the attempts of a migration.
DELETE FROM attempt WHERE step_id IN (SELECT id FROM step WHERE migration_id = ?);

-- name: drop_needs
-- Forget the edges of a migration.
DELETE FROM need WHERE step_id IN (SELECT id FROM step WHERE migration_id = ?);

-- name: drop_params
-- Forget what the steps of a migration were told; what they proved stays.
UPDATE step_body SET template = '', params = NULL WHERE step_id IN (SELECT id FROM step WHERE migration_id = ?);

-- name: archived_position
-- Events up to here are in archive files.
SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'archived_position';

-- name: first_kept_position
-- The first event that is younger than an instant, or belongs to a migration that was not compacted.
SELECT min(coalesce((SELECT min(position) FROM event WHERE at >= ?), (SELECT max(position) + 1 FROM event)),
coalesce((SELECT min((SELECT min(position) FROM event e WHERE e.migration_id = m.id)) FROM migration m
 WHERE NOT EXISTS (SELECT 1 FROM compacted_migration c WHERE c.id = m.id)), 9223372036854775807));

-- name: drop_archived
-- Forget events that are in an archive file, some at a time.
DELETE FROM event WHERE position IN (SELECT position FROM event WHERE position <= ? ORDER BY position LIMIT +?);

-- name: newest_archiving
-- What the log itself says of the newest archive.
SELECT detail FROM event WHERE type = 'EventsArchived' AND subject = 'audit' ORDER BY position DESC LIMIT 1;

-- name: show_values
-- A step's result holds values of rows, which may be kept until an instant.
INSERT OR REPLACE INTO shown_values (step_id, until) VALUES (?, ?);

-- name: values_due
-- Steps whose values are to go, the oldest first.
SELECT step_id FROM shown_values WHERE until <= ? ORDER BY until LIMIT +?;

-- name: forget_values
-- A step's result holds no values any more.
DELETE FROM shown_values WHERE step_id = ?;

-- name: overwrite_freed
-- What is freed is overwritten with zeros from here on.
PRAGMA secure_delete = ON;

-- name: leave_freed
-- What is freed is left as it is again.
PRAGMA secure_delete = OFF;
