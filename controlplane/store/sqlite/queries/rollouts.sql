-- name: note_past
-- What a host's steps came to before it was asked, over some days.
UPDATE rollout_host SET (past_ended, past_failed, past_timed, past_log_sum, past_log_square_sum) = (
  SELECT coalesce(sum(ended), 0), coalesce(sum(failed), 0), coalesce(sum(timed), 0), coalesce(sum(log_sum), 0.0),
  coalesce(sum(log_square_sum), 0.0) FROM host_day d WHERE d.agent_id = rollout_host.agent_id AND d.day >= ?)
WHERE rollout_id = ? AND agent_id = ?;

-- name: rollout
-- One rollout.
SELECT {rollout} FROM rollout WHERE id = ?;

-- name: rollouts
-- Rollouts, newest first; an empty fleet means all.
SELECT {rollout} FROM rollout WHERE (? = '' OR fleet = ?) ORDER BY created_at DESC, id DESC LIMIT +?;

-- name: watched_rollouts
-- Rollouts that a look may move on: those under way, and ended ones of which a host may still be heard.
SELECT {rollout} FROM rollout r WHERE state IN ('running', 'paused', 'halted', 'rolling_back')
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
SELECT {rollout_host} FROM rollout_host WHERE rollout_id = ? ORDER BY wave, agent_id;

-- name: rollout_counts
-- Hosts of a rollout by wave and state, and how many of them were asked.
SELECT wave, state, count(*), count(asked_at) FROM rollout_host WHERE rollout_id = ? GROUP BY wave, state
ORDER BY wave, state;

-- name: insert_rollout
-- A new rollout.
INSERT INTO rollout ({rollout}) VALUES ({?rollout});

-- name: insert_rollout_host
-- A host's part in a new rollout.
INSERT INTO rollout_host (rollout_id, {rollout_host}) VALUES (?, {?rollout_host});

-- name: move_rollout
-- A decision about a rollout, unless there was another one meanwhile.
UPDATE rollout SET state = ?, revision = revision + 1, wave = ?, healthy_s = ?, wave_healthy_s = ?, soak_healthy_s = ?,
forgiven = ?, halt_code = ?, halt_cause = ?, halted_wave = ?, ended_at = ?, reason = ? WHERE id = ? AND revision = ?;

-- name: move_rollout_host
-- A host's new part; what its steps came to is written elsewhere.
UPDATE rollout_host SET wave = ?, state = ?, asked_at = ?, since_healthy_s = ?, away_healthy_s = ?, from_version = ?,
from_digest = ?, incarnation = ?, cause_code = ?, cause = ? WHERE rollout_id = ? AND agent_id = ? AND state = ?;

-- name: clear_after
-- Count a host's steps on the release anew.
UPDATE rollout_host SET after_ended = 0, after_failed = 0, after_timed = 0, after_log_sum = 0, after_log_square_sum = 0
WHERE rollout_id = ? AND agent_id = ?;
