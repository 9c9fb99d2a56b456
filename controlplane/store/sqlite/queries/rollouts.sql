-- name: host_record
-- What is kept of one host.
SELECT facts, running, own_labels, labels FROM host WHERE agent_id = ?;

-- name: host_records
-- What is kept of every host.
SELECT agent_id, facts, running, own_labels, labels FROM host;

-- name: put_introduced
-- What a host says of itself in its hello.
INSERT INTO host (agent_id, facts, running, own_labels) VALUES (?, ?, ?, ?)
ON CONFLICT (agent_id) DO UPDATE SET facts = excluded.facts, running = excluded.running, own_labels = excluded.own_labels;

-- name: put_running
-- What a host says of its release in a heartbeat.
INSERT INTO host (agent_id, running) VALUES (?, ?) ON CONFLICT (agent_id) DO UPDATE SET running = excluded.running;

-- name: put_host_labels
-- The labels that an operator put over a host's own.
INSERT INTO host (agent_id, labels) VALUES (?, ?) ON CONFLICT (agent_id) DO UPDATE SET labels = excluded.labels;

-- name: set_agent_labels
-- The labels of an agent that placement looks at.
UPDATE agent SET labels = ? WHERE id = ?;

-- name: set_cordon
-- Why an agent is given no new work; empty when it is.
UPDATE agent SET cordon_reason = ? WHERE id = ?;

-- name: decommission_agent
-- An agent that has gone for good gives its name back.
UPDATE agent SET name = ?, state = 'gone', liveness = 'lost', liveness_cause = ? WHERE id = ?;

-- name: add_to_day
-- Steps that ended on a host today.
INSERT INTO host_day VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (agent_id, day) DO UPDATE SET
ended = ended + excluded.ended, failed = failed + excluded.failed, timed = timed + excluded.timed,
log_sum = log_sum + excluded.log_sum, log_square_sum = log_square_sum + excluded.log_square_sum;

-- name: forget_days
-- Days of a host that nothing is compared with any more.
DELETE FROM host_day WHERE agent_id = ? AND day < ?;

-- name: count_after
-- Steps that ended on a host since it switched to the release of a rollout under way.
UPDATE rollout_host SET after_ended = after_ended + ?, after_failed = after_failed + ?, after_timed = after_timed + ?,
after_log_sum = after_log_sum + ?, after_log_square_sum = after_log_square_sum + ?
WHERE agent_id = ? AND state IN ('probation', 'kept')
AND rollout_id IN (SELECT id FROM rollout WHERE state IN ('running', 'paused', 'rolling_back', 'succeeded'));

-- name: note_past
-- What a host's steps came to before it was asked, over some days.
UPDATE rollout_host SET (past_ended, past_failed, past_timed, past_log_sum, past_log_square_sum) = (
  SELECT coalesce(sum(ended), 0), coalesce(sum(failed), 0), coalesce(sum(timed), 0), coalesce(sum(log_sum), 0.0),
  coalesce(sum(log_square_sum), 0.0) FROM host_day d WHERE d.agent_id = rollout_host.agent_id AND d.day >= ?)
WHERE rollout_id = ? AND agent_id = ?;

-- name: rollout
-- One rollout.
SELECT * FROM rollout WHERE id = ?;

-- name: rollouts
-- Rollouts, newest first; an empty fleet means all.
SELECT * FROM rollout WHERE (? = '' OR fleet = ?) ORDER BY created_at DESC, id DESC LIMIT +?;

-- name: watched_rollouts
-- Rollouts that a look may move on: those under way, and ended ones of which a host may still be heard.
SELECT * FROM rollout r WHERE state IN ('running', 'paused', 'halted', 'rolling_back')
OR (state = 'succeeded' AND NOT EXISTS (SELECT 1 FROM rollout n WHERE n.fleet = r.fleet AND n.created_at > r.created_at)
  AND EXISTS (SELECT 1 FROM rollout_host h WHERE h.rollout_id = r.id AND h.state NOT IN ('kept', 'failed')))
OR (state IN ('cancelled', 'rolled_back') AND NOT EXISTS (
    SELECT 1 FROM rollout n WHERE n.fleet = r.fleet AND n.created_at > r.created_at)
  AND EXISTS (SELECT 1 FROM rollout_host h WHERE h.rollout_id = r.id AND h.asked_at IS NOT NULL
    AND h.state NOT IN ('kept', 'failed', 'returned')))
OR (state = 'rolled_back' AND NOT EXISTS (
    SELECT 1 FROM rollout n WHERE n.fleet = r.fleet AND n.created_at > r.created_at)
  AND EXISTS (SELECT 1 FROM rollout_host h WHERE h.rollout_id = r.id AND h.state = 'kept'))
ORDER BY created_at;

-- name: rollout_hosts
-- Every host's part in a rollout.
SELECT agent_id, wave, groups, state, asked_at, since_calm_s, away_calm_s, from_version, from_digest, incarnation,
cause_code, cause, past_ended, past_failed, past_timed, past_log_sum, past_log_square_sum, after_ended, after_failed,
after_timed, after_log_sum, after_log_square_sum FROM rollout_host WHERE rollout_id = ? ORDER BY wave, agent_id;

-- name: rollout_counts
-- Hosts of a rollout by wave and state, and how many of them were asked.
SELECT wave, state, count(*), count(asked_at) FROM rollout_host WHERE rollout_id = ? GROUP BY wave, state;

-- name: insert_rollout
-- A new rollout.
INSERT INTO rollout VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: insert_rollout_host
-- A host's part in a new rollout.
INSERT INTO rollout_host VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: move_rollout
-- A decision about a rollout, unless there was another one meanwhile.
UPDATE rollout SET state = ?, revision = revision + 1, wave = ?, calm_s = ?, wave_calm_s = ?, soak_calm_s = ?,
forgiven = ?, halt_code = ?, halt_cause = ?, halted_wave = ?, ended_at = ?, reason = ? WHERE id = ? AND revision = ?;

-- name: move_rollout_host
-- A host's new part; what its steps came to is written elsewhere.
UPDATE rollout_host SET wave = ?, state = ?, asked_at = ?, since_calm_s = ?, away_calm_s = ?, from_version = ?,
from_digest = ?, incarnation = ?, cause_code = ?, cause = ? WHERE rollout_id = ? AND agent_id = ? AND state = ?;

-- name: clear_after
-- Count a host's steps on the release anew.
UPDATE rollout_host SET after_ended = 0, after_failed = 0, after_timed = 0, after_log_sum = 0, after_log_square_sum = 0
WHERE rollout_id = ? AND agent_id = ?;

-- name: backlog
-- Ready steps and live leases by placement class.
SELECT c.id, c.requirements,
(SELECT count(*) FROM step s WHERE s.state = 'ready' AND s.placement_class = c.id),
(SELECT count(*) FROM attempt a JOIN step s ON s.id = a.step_id WHERE a.state = 'running' AND s.placement_class = c.id),
(SELECT min(s.ready_at) FROM step s WHERE s.state = 'ready' AND s.placement_class = c.id)
FROM placement_class c ORDER BY c.id;
