-- name: agent
-- One agent.
SELECT * FROM agent WHERE id = ?;

-- name: agent_by_name
-- One agent by the name it joined with.
SELECT * FROM agent WHERE name = ?;

-- name: agents
-- All agents but those that have gone for good.
SELECT * FROM agent WHERE state <> 'gone' ORDER BY name;

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

-- name: heard
-- When an agent was last heard, and its newest sample.
UPDATE agent SET heard_at = ?, sample = coalesce(nullif(?, ''), sample) WHERE id = ?;

-- name: classes
-- All placement classes.
SELECT id, requirements FROM placement_class;

-- name: put_class
-- A placement class; the same requirements always have the same name.
INSERT OR IGNORE INTO placement_class VALUES (?, ?);

-- name: join_token
-- A join token by its hash.
SELECT * FROM join_token WHERE hash = ?;

-- name: put_join_token
-- A new join token.
INSERT INTO join_token VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: use_join_token
-- Use a token once: a second use changes no row.
UPDATE join_token SET used_request_id = ?, used_key_fingerprint = ?, used_agent_name = ?, answer = ?
WHERE hash = ? AND used_request_id = '';

-- name: expire_join_tokens
-- After a restore: a token that was used since the backup would look unused.
UPDATE join_token SET expires_at = min(expires_at, ?) WHERE used_request_id = '';
