-- name: serves
-- Whether this life of an agent may be given work.
SELECT 1 FROM agent WHERE id = ? AND incarnation = ? AND state = 'serving';

-- name: former_boots
-- Boots of a host that were followed by another.
SELECT boot_id FROM former_boot WHERE agent_id = ?;

-- name: leave_boot
-- A boot that was followed by another.
INSERT OR IGNORE INTO former_boot (agent_id, boot_id, left_at) VALUES (?, ?, ?);

-- name: trim_boots
-- Only the newest are kept.
DELETE FROM former_boot WHERE agent_id = ? AND boot_id NOT IN (
  SELECT boot_id FROM former_boot WHERE agent_id = ? ORDER BY left_at DESC LIMIT +?
);

-- name: forget_boots
-- All boots of a host.
DELETE FROM former_boot WHERE agent_id = ?;

-- name: agent
-- One agent.
SELECT {agent} FROM agent WHERE id = ?;

-- name: agent_by_name
-- One agent by the name it joined with.
SELECT {agent} FROM agent WHERE name = ?;

-- name: agents
-- All agents but those that have gone for good.
SELECT {agent}, sample FROM agent WHERE state <> 'gone' ORDER BY name;

-- name: watched_agents
-- Every agent, with what a verdict needs; also the lost ones, because a paused host comes back on its open stream.
SELECT id, liveness, heard_at FROM agent WHERE state <> 'gone';

-- name: put_agent
-- What is known of an agent.
INSERT INTO agent (id, name, state, liveness, liveness_cause, incarnation, slots, kinds, datastores, labels, boot_id,
version, drain_reason, heard_at, joined_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET state = excluded.state, liveness = excluded.liveness,
liveness_cause = excluded.liveness_cause, incarnation = excluded.incarnation, slots = excluded.slots,
kinds = excluded.kinds, datastores = excluded.datastores, labels = excluded.labels, boot_id = excluded.boot_id,
version = excluded.version, drain_reason = excluded.drain_reason, heard_at = excluded.heard_at;

-- name: host_record
-- What is kept of one host.
SELECT {host} FROM host WHERE agent_id = ?;

-- name: host_records
-- What is kept of every host.
SELECT agent_id, {host} FROM host;

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
INSERT INTO host_day (agent_id, day, ended, failed, timed, log_sum, log_square_sum) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (agent_id, day) DO UPDATE SET
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
