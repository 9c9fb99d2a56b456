-- name: last_position
-- The newest place in the event log, 0 when it is empty.
SELECT coalesce(max(position), 0) FROM event;

-- name: insert_event_at
-- An entry at a position where there is none.
INSERT INTO event (position, {event}) VALUES (?, {?event});

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
