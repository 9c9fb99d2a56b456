-- name: insert_migration
-- A started migration.
INSERT INTO migration ({migration}) VALUES ({?migration});

-- name: migration
-- One migration.
SELECT {migration} FROM migration WHERE id = ?;

-- name: migration_by_name
-- The newest iteration of a migration by the name of its manifest.
SELECT {migration} FROM migration WHERE name = ? ORDER BY iteration DESC LIMIT 1;

-- name: iterations_of
-- All iterations of a name, oldest first.
SELECT {migration} FROM migration WHERE name = ? ORDER BY iteration;

-- name: newest_iterations
-- The newest iteration of every name that was ever started.
SELECT {m.migration} FROM migration m WHERE m.iteration = (SELECT max(o.iteration) FROM migration o WHERE o.name = m.name);

-- name: migrations_at
-- Every migration to one destination, oldest first.
SELECT {migration} FROM migration WHERE place = ? ORDER BY created_at, id;

-- name: asking_at
-- Failed and stuck migrations to one destination.
SELECT {migration} FROM migration WHERE place = ? AND state IN ('failed', 'stuck') ORDER BY id;

-- name: published_fence
-- The fence under which a migration's content became what is at its destination; NULL where it never did or is undone.
SELECT max(a.fence) FROM step s JOIN attempt a ON a.step_id = s.id
WHERE s.migration_id = ? AND s.target = ? AND s.state = 'succeeded' AND s.direction = 'forward'
AND a.state = 'succeeded' AND a.direction = 'forward';

-- name: basis
-- The generations that an iteration was planned from.
SELECT generations FROM basis WHERE migration_id = ?;

-- name: put_basis
-- Keep the generations that an iteration was planned from.
INSERT INTO basis (migration_id, generations) VALUES (?, ?) ON CONFLICT (migration_id) DO UPDATE SET generations = excluded.generations;

-- name: replan_step
-- Give a step what it is told from now on; its parameters stay those of before until it is ready again.
UPDATE step SET placement_class = ? WHERE id = ?;

-- name: replan_body
-- The template of a planned step, anew.
UPDATE step_body SET template = ?, params = coalesce(?, params) WHERE step_id = ?;

-- name: replan_source
-- The datastore that an iteration reads from, anew.
UPDATE migration SET source = ? WHERE id = ?;

-- name: selectable
-- Every Migration that was applied or started, with its newest iteration, its labels and the owner of its dataset.
SELECT n.name, coalesce(m.id, ''), coalesce(m.state, ''), coalesce(json_extract(r.metadata, '$.labels'), '{}'),
coalesce(json_extract(d.spec, '$.owner'), '')
FROM (SELECT name FROM resource WHERE kind = 'Migration' UNION SELECT name FROM migration) n
LEFT JOIN resource r ON r.kind = 'Migration' AND r.name = n.name
LEFT JOIN migration m ON m.name = n.name AND m.iteration = (SELECT max(o.iteration) FROM migration o WHERE o.name = n.name)
LEFT JOIN resource d ON d.kind = 'Dataset' AND d.name = coalesce(json_extract(r.spec, '$.dataset'), m.dataset)
ORDER BY n.name;

-- name: movable_migration_ids
-- Open migrations that a look may move on: undoing ones, those with nothing ready or leased, and those with a blocked step that nothing holds.
SELECT m.id FROM migration m WHERE m.state IN ('running', 'restoring', 'cancelling', 'rolling_back') AND (
  m.state <> 'running'
  OR NOT EXISTS (SELECT 1 FROM step s WHERE s.migration_id = m.id AND s.state IN ('ready', 'leased'))
  OR EXISTS (SELECT 1 FROM step b WHERE b.migration_id = m.id AND b.state = 'blocked' AND NOT EXISTS (
    SELECT 1 FROM need n JOIN step p ON p.id = n.needs_id WHERE n.step_id = b.id AND p.state <> 'succeeded')))
ORDER BY m.id;

-- name: migration_ids
-- All migrations whose attempts are still here.
SELECT id FROM migration WHERE id NOT IN (SELECT id FROM compacted_migration) ORDER BY id;

-- name: discards_changes
-- Whether a person agreed that an undo may lose what others changed.
SELECT EXISTS (SELECT 1 FROM discard WHERE migration_id = ?);

-- name: discard_changes
-- Keep that a person agreed to it.
INSERT INTO discard (migration_id) VALUES (?) ON CONFLICT DO NOTHING;

-- name: summaries
-- Migrations with their progress; an empty id means any, an empty array of states means all; of a name only the newest
-- iteration, or all of them.
SELECT m.id, m.name, m.dataset, m.workflow, m.state, m.reason, m.source, m.destination, m.created_at, m.ended_at,
m.iteration, (SELECT max(o.iteration) FROM migration o WHERE o.name = m.name) AS iterations,
(SELECT json_extract(r.metadata, '$.labels') FROM resource r WHERE r.kind = 'Migration' AND r.name = m.name) AS labels,
(SELECT json_extract(r.spec, '$.owner') FROM resource r WHERE r.kind = 'Dataset' AND r.name = m.dataset) AS owner,
(SELECT s.reason_code FROM step s WHERE s.migration_id = m.id AND s.state IN ('failed', 'stuck') AND s.reason_code <> ''
 ORDER BY s.ordinal LIMIT 1) AS reason_code,
(SELECT count(*) FROM step s WHERE s.migration_id = m.id AND s.kind <> 'clean_up' AND s.state = 'succeeded') AS steps_done,
(SELECT count(*) FROM step s WHERE s.migration_id = m.id AND s.kind <> 'clean_up') AS steps_total,
(SELECT s.name FROM step s WHERE s.migration_id = m.id AND s.kind <> 'clean_up' AND s.state IN ('leased', 'ready', 'failed', 'stuck', 'blocked')
 ORDER BY CASE s.state WHEN 'leased' THEN 0 WHEN 'stuck' THEN 1 WHEN 'failed' THEN 2 WHEN 'ready' THEN 3 ELSE 4 END, s.ordinal
 LIMIT 1) AS current_step,
(SELECT json_array(a.stage, a.watermark, a.total, a.done_bytes) FROM attempt a JOIN step s ON s.id = a.step_id
 WHERE s.migration_id = m.id AND s.kind <> 'clean_up' AND a.state = 'running' ORDER BY s.ordinal LIMIT 1) AS progress
FROM migration m
WHERE m.id > ? AND (? = '' OR m.id = ?) AND (? = '[]' OR m.state IN (SELECT value FROM json_each(?)))
AND (? OR m.iteration = (SELECT max(o.iteration) FROM migration o WHERE o.name = m.name))
ORDER BY m.id LIMIT +?;

-- name: results_of_kind
-- Results of the succeeded steps of some kinds in some migrations; both come as JSON arrays.
SELECT s.migration_id, s.kind, b.result FROM step s JOIN step_body b ON b.step_id = s.id
WHERE s.migration_id IN (SELECT value FROM json_each(?)) AND s.kind IN (SELECT value FROM json_each(?))
AND s.state = 'succeeded' AND b.result IS NOT NULL;
