-- name: audit_head
-- The newest signed head.
SELECT {audit_head} FROM audit_head;

-- name: put_audit_head
-- Keep a head in the place of the one before.
INSERT INTO audit_head (one, {audit_head}) VALUES (1, {?audit_head})
ON CONFLICT (one) DO UPDATE SET era = excluded.era, size = excluded.size, root = excluded.root,
signature = excluded.signature, key_id = excluded.key_id;

-- name: audit_tile
-- One tile of the tree.
SELECT hashes FROM audit_tile WHERE level = ? AND number = ?;

-- name: put_audit_tile
-- Keep a tile, in the place of a shorter one.
INSERT INTO audit_tile (level, number, hashes) VALUES (?, ?, ?) ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes;

-- name: audit_eras
-- Beginnings of the eras after the first.
SELECT {audit_era} FROM audit_era ORDER BY era;

-- name: drop_audit_tiles
-- Forget the whole tree: another one takes its place.
DELETE FROM audit_tile;

-- name: put_audit_era
-- A new era.
INSERT INTO audit_era ({audit_era}, begun_at) VALUES ({?audit_era}, ?);
