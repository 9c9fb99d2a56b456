-- name: classes
-- All placement classes.
SELECT id, requirements FROM placement_class;

-- name: put_class
-- A placement class; the same requirements always have the same name.
INSERT OR IGNORE INTO placement_class (id, requirements) VALUES (?, ?);

-- name: candidates
-- Ready steps of one class that may start now, best first, with the highest fence of their target; a target with a live writer is passed over.
-- Where the destination can check no fence, so is one whose last writer nobody saw end, until the lock-delay has passed (promise L7).
SELECT {s.step}, coalesce(t.fence, 0) FROM step s LEFT JOIN target t ON t.name = s.target
WHERE s.state = 'ready' AND s.placement_class = ? AND s.ready_at <= ?
AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.target = s.target AND a.state = 'running')
AND (s.fenced OR NOT EXISTS (
  SELECT 1 FROM attempt u WHERE u.target = s.target AND u.state IN ('lost', 'cancelled') AND u.ended_at > ?))
ORDER BY s.priority DESC, length(s.migration_id), s.migration_id, s.ordinal LIMIT +?;

-- name: candidates_within
-- The same under limits of migrations under way: without those that would begin one where a limit is reached, be it in all or at a datastore of theirs (a JSON array). What is under way, every undo and every clean-up go on.
SELECT {s.step}, coalesce(t.fence, 0) FROM step s LEFT JOIN target t ON t.name = s.target
WHERE s.state = 'ready' AND s.placement_class = ? AND s.ready_at <= ?
AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.target = s.target AND a.state = 'running')
AND (s.fenced OR NOT EXISTS (
  SELECT 1 FROM attempt u WHERE u.target = s.target AND u.state IN ('lost', 'cancelled') AND u.ended_at > ?))
AND (s.direction = 'undo' OR s.kind = 'clean_up' OR EXISTS (SELECT 1 FROM migration_under_way w WHERE w.id = s.migration_id) OR NOT (? OR EXISTS (
  SELECT 1 FROM migration m, json_each(?) j WHERE m.id = s.migration_id AND j.value IN (m.source, m.destination))))
ORDER BY s.priority DESC, length(s.migration_id), s.migration_id, s.ordinal LIMIT +?;

-- name: under_way
-- Migrations under way, in order of their start.
SELECT w.id, m.name, w.source, w.destination FROM migration_under_way w JOIN migration m ON m.id = w.id
ORDER BY length(w.id), w.id;

-- name: set_out
-- A migration is under way from its first lease; what cleans up after an ended one does not count.
INSERT OR IGNORE INTO migration_under_way (id, source, destination) SELECT id, source, destination FROM migration
WHERE id = ? AND state IN ('running', 'cancelling', 'rolling_back');

-- name: arrive
-- A migration that has stopped moving is under way no more.
DELETE FROM migration_under_way WHERE id = ?;

-- name: insert_attempt
-- A granted lease; the partial unique indexes refuse a second one on the step or the target.
INSERT INTO attempt (id, step_id, migration_id, number, direction, agent_id, incarnation, fence, target, state,
granted_at, expires_at, moved_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: raise_fence
-- Raise a target's fence; a value that would not rise changes no row.
INSERT INTO target (name, fence) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET fence = excluded.fence WHERE target.fence < excluded.fence;

-- name: lease_step
-- Lease a step that is still in the state the decision saw, at the next attempt number.
UPDATE step SET state = 'leased', attempts = attempts + 1, touched = 1, queue_deadline_at = NULL
WHERE id = ? AND state = ? AND attempts = ?;

-- name: end_attempt
-- End the attempt that holds exactly this fence and still runs.
UPDATE attempt SET state = ?, ended_at = ?, failure = ?, use = ? WHERE id = ? AND fence = ? AND state = 'running';

-- name: move_step
-- Bring a step from one state to another.
UPDATE step SET state = ?, direction = ?, ready_at = ?, queue_deadline_at = ?, failures = ?, reason_code = ?,
reason = ?, hint = ?, unreachable_since = ?, losses = ? WHERE id = ? AND state = ?;

-- name: keep_result
-- Keep the result of a step.
UPDATE step_body SET result = ? WHERE step_id = ?;

-- name: move_migration
-- Bring a migration from one state to another.
UPDATE migration SET state = ?, reason = ?, ended_at = ? WHERE id = ? AND state = ?;

-- name: insert_step
-- A planned step.
INSERT INTO step ({step}) VALUES ({?step});

-- name: insert_body
-- Parameters of a planned step.
INSERT INTO step_body (step_id, template, params) VALUES (?, ?, ?);

-- name: insert_need
-- An edge of the workflow.
INSERT INTO need (needs_id, step_id) VALUES (?, ?);

-- name: forget_results
-- Forget what steps said of work that was undone since; the ids come as a JSON array.
UPDATE step_body SET result = NULL WHERE step_id IN (SELECT value FROM json_each(?));

-- name: steps_of
-- Steps of a migration in order.
SELECT {step} FROM step WHERE migration_id = ? ORDER BY ordinal;

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

-- name: backlog
-- Ready steps and live leases by placement class.
SELECT c.id, c.requirements,
(SELECT count(*) FROM step s WHERE s.state = 'ready' AND s.placement_class = c.id),
(SELECT count(*) FROM attempt a JOIN step s ON s.id = a.step_id WHERE a.state = 'running' AND s.placement_class = c.id),
(SELECT min(s.ready_at) FROM step s WHERE s.state = 'ready' AND s.placement_class = c.id)
FROM placement_class c ORDER BY c.id;
