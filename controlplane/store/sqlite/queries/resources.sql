-- name: meta
-- One setting of the store itself.
SELECT value FROM meta WHERE key = ?;

-- name: set_meta
-- Change a setting of the store itself.
UPDATE meta SET value = ? WHERE key = ?;

-- name: resource
-- One applied manifest.
SELECT * FROM resource WHERE kind = ? AND name = ?;

-- name: resources
-- Applied manifests of a kind in order of name.
SELECT * FROM resource WHERE kind = ? AND name > ? ORDER BY name LIMIT +?;

-- name: all_specs
-- Every applied manifest, short.
SELECT kind, name, generation, digest, spec FROM resource;

-- name: put_resource
-- Apply a manifest.
INSERT INTO resource VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (kind, name) DO UPDATE SET generation = excluded.generation, digest = excluded.digest,
metadata = excluded.metadata, spec = excluded.spec, applied_at = excluded.applied_at;

-- name: put_history
-- Keep a generation.
INSERT INTO resource_history VALUES (?, ?, ?, ?, ?);

-- name: delete_resource
-- Delete an applied manifest; its generations stay.
DELETE FROM resource WHERE kind = ? AND name = ?;

-- name: generation_spec
-- The spec of one generation of a manifest, also of a deleted one.
SELECT spec FROM resource_history WHERE kind = ? AND name = ? AND generation = ?;

-- name: generation_at
-- The generation of a manifest that was applied at an instant.
SELECT max(generation) FROM resource_history WHERE kind = ? AND name = ? AND applied_at <= ?;

-- name: deleted_generations
-- The newest generation of each manifest that was deleted.
SELECT h.kind, h.name, max(h.generation) FROM resource_history h
WHERE NOT EXISTS (SELECT 1 FROM resource r WHERE r.kind = h.kind AND r.name = h.name) GROUP BY h.kind, h.name;

-- name: answer
-- The answer that a request got.
SELECT method, answer FROM request WHERE id = ?;

-- name: keep_answer
-- Keep an answer for a repeat of its request.
INSERT INTO request VALUES (?, ?, ?, ?);

-- name: events_after
-- Events in order from a position on.
SELECT position, at, type, subject, migration_id, attempt_id, agent_id, fence, detail FROM event
WHERE position > ? ORDER BY position LIMIT +?;

-- name: events_of_migration
-- Events of a migration and its steps from a position on.
SELECT position, at, type, subject, migration_id, attempt_id, agent_id, fence, detail FROM event
WHERE migration_id = ? AND position > ? ORDER BY position LIMIT +?;

-- name: events_of_subject
-- Events of one subject that is no part of a migration.
SELECT position, at, type, subject, migration_id, attempt_id, agent_id, fence, detail FROM event
WHERE subject = ? AND migration_id IS NULL AND position > ? ORDER BY position LIMIT +?;

-- name: events_of_step
-- Events of one step, through its migration.
SELECT position, at, type, subject, migration_id, attempt_id, agent_id, fence, detail FROM event
WHERE migration_id = (SELECT migration_id FROM step WHERE id = ?) AND subject = ? AND position > ?
ORDER BY position LIMIT +?;

-- name: events_before
-- Events before a position, the newest first.
SELECT position, at, type, subject, migration_id, attempt_id, agent_id, fence, detail FROM event
WHERE position < ? ORDER BY position DESC LIMIT +?;

-- name: events_of_migration_before
-- Events of a migration and its steps before a position, the newest first.
SELECT position, at, type, subject, migration_id, attempt_id, agent_id, fence, detail FROM event
WHERE migration_id = ? AND position < ? ORDER BY position DESC LIMIT +?;

-- name: events_of_subject_before
-- Events of one subject that is no part of a migration before a position, the newest first.
SELECT position, at, type, subject, migration_id, attempt_id, agent_id, fence, detail FROM event
WHERE subject = ? AND migration_id IS NULL AND position < ? ORDER BY position DESC LIMIT +?;

-- name: events_of_step_before
-- Events of one step before a position, the newest first.
SELECT position, at, type, subject, migration_id, attempt_id, agent_id, fence, detail FROM event
WHERE migration_id = (SELECT migration_id FROM step WHERE id = ?) AND subject = ? AND position < ? ORDER BY position DESC LIMIT +?;

-- name: event_types
-- The types of all events that are here.
SELECT DISTINCT type FROM event;
