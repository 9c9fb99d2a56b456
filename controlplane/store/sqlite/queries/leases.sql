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
INSERT OR IGNORE INTO migration_under_way SELECT id, source, destination FROM migration
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

-- name: insert_event
-- Append one fact.
INSERT INTO event (at, type, subject, migration_id, attempt_id, agent_id, fence, detail) VALUES (?, ?, ?, ?, ?, ?, ?, ?);

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
SELECT a.id, a.step_id, a.migration_id, a.number, a.direction, a.agent_id, a.incarnation, a.fence, a.target, a.state,
a.granted_at, a.expires_at, a.ended_at, a.moved_at, a.watermark, s.start_to_finish_s, s.progress_s
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

-- name: attempts_of_steps
-- Every attempt of a migration with all it reported, oldest first.
SELECT a.*, g.name AS agent_name FROM attempt a LEFT JOIN agent g ON g.id = a.agent_id
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
