-- name: foreign_writes
-- A number that changes when another connection than this one has written to the file.
PRAGMA data_version;

-- name: meta
-- One setting of the store itself.
SELECT value FROM meta WHERE key = ?;

-- name: set_meta
-- Change a setting of the store itself.
UPDATE meta SET value = ? WHERE key = ?;

-- name: answer
-- The answer that a request got.
SELECT method, answer FROM request WHERE id = ?;

-- name: keep_answer
-- Keep an answer for a repeat of its request.
INSERT INTO request (id, method, answer, at) VALUES (?, ?, ?, ?);

-- name: drop_requests
-- Forget answers that nobody asks for again.
DELETE FROM request WHERE id IN (SELECT id FROM request WHERE at < ? LIMIT +?);
