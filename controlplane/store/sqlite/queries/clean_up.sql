-- name: kept
-- How long a migration's leftovers are kept.
SELECT {kept} FROM clean_up WHERE migration_id = ?;

-- name: put_kept
-- The same, new or changed.
INSERT INTO clean_up ({kept}) VALUES ({?kept})
ON CONFLICT (migration_id) DO UPDATE SET staged_s = excluded.staged_s, former_s = excluded.former_s,
staged_planned_at = excluded.staged_planned_at, former_planned_at = excluded.former_planned_at;

-- name: clean_ups_due
-- Ended migrations (their states come as a JSON array) with leftovers that were kept long enough, longest ended first.
SELECT m.id FROM clean_up c CROSS JOIN migration m ON m.id = c.migration_id
WHERE (c.staged_planned_at IS NULL OR c.former_planned_at IS NULL)
AND m.state IN (SELECT value FROM json_each(?)) AND m.ended_at IS NOT NULL
AND (c.staged_planned_at IS NULL AND m.ended_at + min(coalesce(c.staged_s, ?), ?) <= ?
  OR c.former_planned_at IS NULL AND m.ended_at + min(coalesce(c.former_s, ?), ?) <= ?)
ORDER BY m.ended_at LIMIT +?;

-- name: uncleaned_migrations
-- Ended migrations (their states come as a JSON array) whose clean-up was not planned whole, or has failed.
SELECT m.id FROM migration m WHERE m.state IN (SELECT value FROM json_each(?)) AND (
  EXISTS (SELECT 1 FROM clean_up c WHERE c.migration_id = m.id
    AND (c.staged_planned_at IS NULL OR c.former_planned_at IS NULL))
  OR EXISTS (SELECT 1 FROM step s WHERE s.migration_id = m.id AND s.kind = 'clean_up' AND s.state = 'failed'))
ORDER BY m.id;

-- name: leftovers
-- How many migrations that succeeded still keep staged parts and former content, and when the next clean-up of each is due.
SELECT count(*) FILTER (WHERE c.staged_planned_at IS NULL),
min(m.ended_at + min(coalesce(c.staged_s, ?), ?)) FILTER (WHERE c.staged_planned_at IS NULL),
count(*) FILTER (WHERE c.former_planned_at IS NULL),
min(m.ended_at + min(coalesce(c.former_s, ?), ?)) FILTER (WHERE c.former_planned_at IS NULL)
FROM clean_up c CROSS JOIN migration m ON m.id = c.migration_id
WHERE (c.staged_planned_at IS NULL OR c.former_planned_at IS NULL) AND m.state = 'succeeded';

-- name: failed_clean_ups
-- Migrations with a clean-up that failed.
SELECT DISTINCT m.name FROM step s CROSS JOIN migration m ON m.id = s.migration_id
WHERE s.kind = 'clean_up' AND s.state = 'failed' ORDER BY m.name LIMIT +?;
