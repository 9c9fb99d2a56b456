-- name: put_certificate
-- An issued certificate.
INSERT INTO certificate ({certificate}) VALUES ({?certificate});

-- name: see_certificate
-- A certificate that opened a session.
INSERT INTO certificate ({certificate}, seen_at) VALUES ({?certificate}, ?)
ON CONFLICT (serial) DO UPDATE SET seen_at = excluded.seen_at;

-- name: issued_since
-- How many certificates an agent was given.
SELECT count(*) FROM certificate WHERE agent_id = ? AND issued_at >= ?;

-- name: revoke_certificates
-- No certificate of an agent is valid any longer.
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

-- name: operator
-- One operator's token.
SELECT {operator} FROM operator WHERE id = ?;

-- name: operators
-- Every operator's token.
SELECT {operator} FROM operator
ORDER BY name, created_at;

-- name: put_operator
-- A new operator's token.
INSERT INTO operator ({operator}) VALUES ({?operator});

-- name: revoke_operator
-- An operator's token is no longer valid.
UPDATE operator SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL;

-- name: approval
-- One approval.
SELECT {approval} FROM approval WHERE id = ?;

-- name: approvals
-- The newest approvals.
SELECT {approval} FROM approval ORDER BY asked_at DESC, id DESC LIMIT +?;

-- name: approval_of
-- What a call is waiting for, or may use.
SELECT {approval} FROM approval WHERE digest = ? AND state IN ('pending', 'approved') AND expires_at > ?
ORDER BY asked_at DESC LIMIT 1;

-- name: open_approvals
-- What somebody has asked for by a method and may still use, the newest first.
SELECT {approval} FROM approval WHERE asked_by = ? AND method = ? AND state IN ('pending', 'approved') AND expires_at > ?
ORDER BY asked_at DESC, id DESC;

-- name: pending_approvals
-- How many of somebody's calls wait.
SELECT count(*) FROM approval WHERE asked_by = ? AND state = 'pending' AND expires_at > ?;

-- name: put_approval
-- A call that waits for a second person.
INSERT INTO approval ({approval}) VALUES ({?approval});

-- name: move_approval
-- How it was decided, or that it was used.
UPDATE approval SET state = ?, decided_by = ?, reason = ? WHERE id = ? AND state = ?;

-- name: join_token
-- A join token by its hash.
SELECT {join_token} FROM join_token WHERE hash = ?;

-- name: put_join_token
-- A new join token.
INSERT INTO join_token ({join_token}) VALUES ({?join_token});

-- name: use_join_token
-- Use a token once: a second use changes no row.
UPDATE join_token SET used_request_id = ?, used_key_fingerprint = ?, used_agent_name = ?, answer = ?
WHERE hash = ? AND used_request_id = '';

-- name: expire_join_tokens
-- After a restore: a token that was used since the backup would look unused.
UPDATE join_token SET expires_at = min(expires_at, ?) WHERE used_request_id = '';
