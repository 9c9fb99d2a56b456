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

-- name: last_position
-- The newest place in the event log, 0 when it is empty.
SELECT coalesce(max(position), 0) FROM event;

-- name: drop_audit_tiles
-- Forget the whole tree: another one takes its place.
DELETE FROM audit_tile;

-- name: insert_event_at
-- An entry at a position where there is none.
INSERT INTO event (position, {event}) VALUES (?, {?event});

-- name: put_audit_era
-- A new era.
INSERT INTO audit_era ({audit_era}, begun_at) VALUES ({?audit_era}, ?);

-- name: insert_event
-- Append one fact.
INSERT INTO event ({event}) VALUES ({?event});

-- name: events_after
-- Events in order from a position on.
SELECT position, {event} FROM event
WHERE position > ? ORDER BY position LIMIT +?;

-- name: events_of_migration
-- Events of a migration and its steps from a position on.
SELECT position, {event} FROM event
WHERE migration_id = ? AND position > ? ORDER BY position LIMIT +?;

-- name: events_of_subject
-- Events of one subject that is no part of a migration.
SELECT position, {event} FROM event
WHERE subject = ? AND migration_id IS NULL AND position > ? ORDER BY position LIMIT +?;

-- name: events_of_step
-- Events of one step, through its migration.
SELECT position, {event} FROM event
WHERE migration_id = (SELECT migration_id FROM step WHERE id = ?) AND subject = ? AND position > ?
ORDER BY position LIMIT +?;

-- name: events_before
-- Events before a position, the newest first.
SELECT position, {event} FROM event
WHERE position < ? ORDER BY position DESC LIMIT +?;

-- name: events_of_migration_before
-- Events of a migration and its steps before a position, the newest first.
SELECT position, {event} FROM event
WHERE migration_id = ? AND position < ? ORDER BY position DESC LIMIT +?;

-- name: events_of_subject_before
-- Events of one subject that is no part of a migration before a position, the newest first.
SELECT position, {event} FROM event
WHERE subject = ? AND migration_id IS NULL AND position < ? ORDER BY position DESC LIMIT +?;

-- name: events_of_step_before
-- Events of one step before a position, the newest first.
SELECT position, {event} FROM event
WHERE migration_id = (SELECT migration_id FROM step WHERE id = ?) AND subject = ? AND position < ? ORDER BY position DESC LIMIT +?;

-- name: event_types
-- The types of all events that are here.
SELECT DISTINCT type FROM event;
