-- name: audit_head
-- The newest signed head.
SELECT era, size, root, signature, key_id FROM audit_head;

-- name: put_audit_head
-- Keep a head in the place of the one before.
INSERT INTO audit_head VALUES (1, ?, ?, ?, ?, ?)
ON CONFLICT (one) DO UPDATE SET era = excluded.era, size = excluded.size, root = excluded.root,
signature = excluded.signature, key_id = excluded.key_id;

-- name: audit_tile
-- One tile of the tree.
SELECT hashes FROM audit_tile WHERE level = ? AND number = ?;

-- name: put_audit_tile
-- Keep a tile, in the place of a shorter one.
INSERT INTO audit_tile VALUES (?, ?, ?) ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes;

-- name: audit_eras
-- Beginnings of the eras after the first.
SELECT era, size, root, generation, reason, signature, public_key FROM audit_era ORDER BY era;

-- name: last_position
-- The newest place in the event log, 0 when it is empty.
SELECT coalesce(max(position), 0) FROM event;

-- name: foreign_writes
-- A number that changes when another connection than this one has written to the file.
PRAGMA data_version;

-- name: drop_audit_tiles
-- Forget the whole tree: another one takes its place.
DELETE FROM audit_tile;

-- name: insert_event_at
-- An entry at a position where there is none.
INSERT INTO event (position, at, type, subject, migration_id, attempt_id, agent_id, fence, detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: put_audit_era
-- A new era.
INSERT INTO audit_era VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: prove_writable
-- A write that changes nothing but itself.
INSERT INTO meta VALUES ('proved_writable_at', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value;
