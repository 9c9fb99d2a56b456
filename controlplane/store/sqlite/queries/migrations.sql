-- name: insert_migration
-- A started migration.
INSERT INTO migration VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: insert_step
-- A planned step.
INSERT INTO step ({step}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: insert_body
-- Parameters of a planned step.
INSERT INTO step_body (step_id, template, params) VALUES (?, ?, ?);

-- name: insert_need
-- An edge of the workflow.
INSERT INTO need (needs_id, step_id) VALUES (?, ?);

-- name: migration
-- One migration.
SELECT * FROM migration WHERE id = ?;

-- name: migration_by_name
-- The newest iteration of a migration by the name of its manifest.
SELECT * FROM migration WHERE name = ? ORDER BY iteration DESC LIMIT 1;

-- name: iterations_of
-- All iterations of a name, oldest first.
SELECT * FROM migration WHERE name = ? ORDER BY iteration;

-- name: newest_iterations
-- The newest iteration of every name that was ever started.
SELECT m.* FROM migration m WHERE m.iteration = (SELECT max(o.iteration) FROM migration o WHERE o.name = m.name);

-- name: migrations_at
-- Every migration to one destination, oldest first.
SELECT * FROM migration WHERE place = ? ORDER BY created_at, id;

-- name: asking_at
-- Failed and stuck migrations to one destination.
SELECT * FROM migration WHERE place = ? AND state IN ('failed', 'stuck') ORDER BY id;

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
INSERT INTO basis VALUES (?, ?) ON CONFLICT (migration_id) DO UPDATE SET generations = excluded.generations;

-- name: replan_step
-- Give a step what it is told from now on; its parameters stay those of before until it is ready again.
UPDATE step SET placement_class = ? WHERE id = ?;

-- name: replan_body
-- The template of a planned step, anew.
UPDATE step_body SET template = ?, params = coalesce(?, params) WHERE step_id = ?;

-- name: forget_results
-- Forget what steps said of work that was undone since; the ids come as a JSON array.
UPDATE step_body SET result = NULL WHERE step_id IN (SELECT value FROM json_each(?));

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

-- name: steps_of
-- Steps of a migration in order.
SELECT {step} FROM step WHERE migration_id = ? ORDER BY ordinal;

-- name: discards_changes
-- Whether a person agreed that an undo may lose what others changed.
SELECT EXISTS (SELECT 1 FROM discard WHERE migration_id = ?);

-- name: discard_changes
-- Keep that a person agreed to it.
INSERT INTO discard VALUES (?) ON CONFLICT DO NOTHING;

-- name: needs_of
-- Edges of a migration.
SELECT n.step_id, n.needs_id FROM need n JOIN step s ON s.id = n.step_id WHERE s.migration_id = ?;

-- name: steps_in
-- Steps by id; the ids come as a JSON array.
SELECT {s.step} FROM json_each(?) j CROSS JOIN step s ON s.id = j.value;

-- name: step_named
-- A step by its name.
SELECT {step} FROM step WHERE migration_id = ? AND name = ?;

-- name: body
-- The large half of a step.
SELECT template, params, result FROM step_body WHERE step_id = ?;

-- name: bodies_in
-- The large halves of steps; the ids come as a JSON array.
SELECT b.step_id, b.template, b.params, b.result FROM json_each(?) j CROSS JOIN step_body b ON b.step_id = j.value;

-- name: set_params
-- Parameters once their references could be resolved.
UPDATE step_body SET params = ? WHERE step_id = ?;

-- name: moved_on_by
-- Migrations that the end of these steps may move on; the ids come as a JSON array.
SELECT DISTINCT s.migration_id FROM json_each(?) j CROSS JOIN step s ON s.id = j.value
WHERE s.direction = 'undo' OR EXISTS (SELECT 1 FROM need n WHERE n.needs_id = s.id)
OR NOT EXISTS (SELECT 1 FROM step o WHERE o.migration_id = s.migration_id AND o.state IN ('ready', 'leased'));

-- name: overdue_steps
-- Ready steps that no agent took in time.
SELECT {step} FROM step WHERE state = 'ready' AND queue_deadline_at < ? ORDER BY queue_deadline_at LIMIT +?;

-- name: wait_on
-- A new deadline for a step that waits for an agent.
UPDATE step SET queue_deadline_at = ? WHERE id = ? AND state = 'ready';

-- name: ready_count
-- Ready steps of a class that may start now, counted no further than a limit.
SELECT count(*) FROM (SELECT 1 FROM step WHERE state = 'ready' AND placement_class = ? AND ready_at <= ? LIMIT +?);

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
 WHERE s.migration_id = m.id AND s.kind <> 'clean_up' AND a.state = 'running' ORDER BY s.ordinal LIMIT 1) AS live
FROM migration m
WHERE m.id > ? AND (? = '' OR m.id = ?) AND (? = '[]' OR m.state IN (SELECT value FROM json_each(?)))
AND (? OR m.iteration = (SELECT max(o.iteration) FROM migration o WHERE o.name = m.name))
ORDER BY m.id LIMIT +?;

-- name: results_of_kind
-- Results of the succeeded steps of some kinds in some migrations; both come as JSON arrays.
SELECT s.migration_id, s.kind, b.result FROM step s JOIN step_body b ON b.step_id = s.id
WHERE s.migration_id IN (SELECT value FROM json_each(?)) AND s.kind IN (SELECT value FROM json_each(?))
AND s.state = 'succeeded' AND b.result IS NOT NULL;

-- name: count_migrations
-- Migrations by state, and by whether an attempt at one of their steps runs; of each name the newest iteration.
SELECT m.state, w.migration_id IS NOT NULL AS working, count(*) FROM migration m
LEFT JOIN (SELECT DISTINCT migration_id FROM attempt WHERE state = 'running') w ON w.migration_id = m.id
WHERE m.iteration = (SELECT max(o.iteration) FROM migration o WHERE o.name = m.name) GROUP BY 1, 2;

-- name: count_steps
-- Steps by state.
SELECT state, count(*) FROM step GROUP BY state;

-- name: count_agents
-- Agents by liveness.
SELECT liveness, count(*) FROM agent WHERE state <> 'gone' GROUP BY liveness;
