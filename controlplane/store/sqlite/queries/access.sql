-- name: put_certificate
-- An issued certificate.
INSERT INTO certificate (serial, agent_id, not_after, authority, issued_at) VALUES (?, ?, ?, ?, ?);

-- name: see_certificate
-- A certificate that opened a session.
INSERT INTO certificate (serial, agent_id, not_after, authority, issued_at, seen_at) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (serial) DO UPDATE SET seen_at = excluded.seen_at;

-- name: issued_since
-- How many certificates an agent was given.
SELECT count(*) FROM certificate WHERE agent_id = ? AND issued_at >= ?;

-- name: revoke_certificates
-- No certificate of an agent is good any more.
UPDATE certificate SET revoked_at = ? WHERE agent_id = ? AND revoked_at IS NULL;

-- name: revoked_serials
-- What must be refused although it has not ended.
SELECT serial FROM certificate WHERE revoked_at IS NOT NULL AND not_after > ?;

-- name: drop_certificates
-- Certificates that nobody can show any more.
DELETE FROM certificate WHERE agent_id = ? AND not_after < ?;

-- name: authority_holders
-- Agents that would be cut off without an authority: they hold a good certificate of it, and showed none of another.
SELECT name FROM agent WHERE id IN (
  SELECT agent_id FROM certificate WHERE revoked_at IS NULL AND not_after > ?
  GROUP BY agent_id HAVING sum(authority = ?) > 0 AND sum(authority <> ? AND seen_at IS NOT NULL) = 0
) ORDER BY name;

-- name: serves
-- Whether this life of an agent may be given work.
SELECT 1 FROM agent WHERE id = ? AND incarnation = ? AND state = 'serving';

-- name: former_boots
-- Boots of a host that were followed by another.
SELECT boot_id FROM former_boot WHERE agent_id = ?;

-- name: leave_boot
-- A boot that was followed by another.
INSERT OR IGNORE INTO former_boot VALUES (?, ?, ?);

-- name: trim_boots
-- Only the newest are kept.
DELETE FROM former_boot WHERE agent_id = ? AND boot_id NOT IN (
  SELECT boot_id FROM former_boot WHERE agent_id = ? ORDER BY left_at DESC LIMIT +?
);

-- name: forget_boots
-- All boots of a host.
DELETE FROM former_boot WHERE agent_id = ?;

-- name: operator
-- One operator's token.
SELECT id, name, role, owners, verifier, expires_at, created_at, created_by, revoked_at FROM operator WHERE id = ?;

-- name: operators
-- Every operator's token.
SELECT id, name, role, owners, verifier, expires_at, created_at, created_by, revoked_at FROM operator
ORDER BY name, created_at;

-- name: put_operator
-- A new operator's token.
INSERT INTO operator (id, name, role, owners, verifier, expires_at, created_at, created_by)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: revoke_operator
-- An operator's token is good no more.
UPDATE operator SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL;

-- name: approval
-- One approval.
SELECT * FROM approval WHERE id = ?;

-- name: approvals
-- The newest approvals.
SELECT * FROM approval ORDER BY asked_at DESC, id DESC LIMIT +?;

-- name: approval_of
-- What a call is waiting for, or may use.
SELECT * FROM approval WHERE digest = ? AND state IN ('pending', 'approved') AND expires_at > ?
ORDER BY asked_at DESC LIMIT 1;

-- name: open_approvals
-- What somebody has asked for by a method and may still use, the newest first.
SELECT * FROM approval WHERE asked_by = ? AND method = ? AND state IN ('pending', 'approved') AND expires_at > ?
ORDER BY asked_at DESC, id DESC;

-- name: pending_approvals
-- How many of somebody's calls wait.
SELECT count(*) FROM approval WHERE asked_by = ? AND state = 'pending' AND expires_at > ?;

-- name: put_approval
-- A call that waits for a second person.
INSERT INTO approval VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: move_approval
-- How it was decided, or that it was used.
UPDATE approval SET state = ?, decided_by = ?, reason = ? WHERE id = ? AND state = ?;
