-- name: heard
-- When an agent was last heard, and its newest sample.
UPDATE agent SET heard_at = ?, sample = coalesce(nullif(?, ''), sample) WHERE id = ?;

-- name: live_count
-- Leases an agent holds.
SELECT count(*) FROM attempt WHERE agent_id = ? AND state = 'running';

-- name: live_counts
-- Leases each agent holds.
SELECT agent_id, count(*) FROM attempt WHERE state = 'running' GROUP BY agent_id;

-- name: live_classes
-- Placement class of each live lease, for budgets.
SELECT s.placement_class FROM attempt a JOIN step s ON s.id = a.step_id WHERE a.state = 'running';

-- name: live_rows
-- Every live lease with its step's limits.
SELECT {a.attempt}, a.moved_at, a.watermark, s.start_to_finish_s, s.progress_s
FROM attempt a JOIN step s ON s.id = a.step_id WHERE a.state = 'running';

-- name: live_of_agent
-- Live leases of one agent.
SELECT {attempt} FROM attempt WHERE agent_id = ? AND state = 'running' ORDER BY granted_at, id;

-- name: live_of_migration
-- Live leases of one migration.
SELECT {attempt} FROM attempt WHERE step_id IN (SELECT id FROM step WHERE migration_id = ?) AND state = 'running';

-- name: live_on_target
-- The live writer of a target.
SELECT {attempt} FROM attempt WHERE target = ? AND state = 'running';

-- name: attempts_in
-- Attempts by id; the ids come as a JSON array.
SELECT {a.attempt} FROM json_each(?) j CROSS JOIN attempt a ON a.id = j.value;

-- name: attempts_with_steps
-- Attempts by id, each followed by its step; the ids come as a JSON array.
SELECT {a.attempt}, {s.step} FROM json_each(?) j CROSS JOIN attempt a ON a.id = j.value CROSS JOIN step s ON s.id = a.step_id;

-- name: attempt_reports
-- Every attempt of a migration with all it reported, oldest first.
SELECT {a.attempt}, {a.report}, g.name FROM attempt a LEFT JOIN agent g ON g.id = a.agent_id
WHERE a.step_id IN (SELECT id FROM step WHERE migration_id = ?) ORDER BY a.step_id, a.number;

-- name: unseen_end
-- When the newest attempt on a target ended whose end nobody saw.
SELECT max(ended_at) FROM attempt WHERE target = ? AND state IN ('lost', 'cancelled');

-- name: unconfirmed
-- Attempts on a target whose end nobody saw, newest first: their processes must be evicted.
SELECT id FROM attempt WHERE target = ? AND state IN ('lost', 'cancelled') ORDER BY granted_at DESC LIMIT +?;

-- name: flush_attempt
-- Make durable what heartbeats renewed and reported.
UPDATE attempt SET expires_at = ?, moved_at = ?, watermark = ?, total = ?, done_bytes = ?, stage = ?,
started_at = coalesce(started_at, ?) WHERE id = ? AND fence = ? AND state = 'running';

-- name: adopt_attempt
-- A newer life of the agent has taken over the attempt.
UPDATE attempt SET incarnation = ? WHERE id = ? AND state = 'running' AND incarnation <= ?;

-- name: extend_all
-- After a start: no live lease ends before this instant, because nobody could renew while we were away.
UPDATE attempt SET expires_at = max(expires_at, ?) WHERE state = 'running';

-- name: attempts_of_migration
-- Every attempt of a migration, oldest first.
SELECT {attempt} FROM attempt WHERE step_id IN (SELECT id FROM step WHERE migration_id = ?) ORDER BY step_id, number;

-- name: all_attempts
-- Every attempt in the order of their grants.
SELECT {a.attempt} FROM event e JOIN attempt a ON a.id = e.attempt_id WHERE e.type = 'LeaseGranted' ORDER BY e.position;

-- name: fences
-- Every target with its highest fence.
SELECT name, fence FROM target;
