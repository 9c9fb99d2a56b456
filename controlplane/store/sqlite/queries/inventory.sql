-- name: resource
-- One applied manifest.
SELECT {resource} FROM resource WHERE kind = ? AND name = ?;

-- name: resources
-- Applied manifests of a kind in order of name.
SELECT {resource} FROM resource WHERE kind = ? AND name > ? ORDER BY name LIMIT +?;

-- name: all_specs
-- Every applied manifest, short.
SELECT kind, name, generation, digest, spec FROM resource;

-- name: put_resource
-- Apply a manifest.
INSERT INTO resource ({resource}) VALUES ({?resource})
ON CONFLICT (kind, name) DO UPDATE SET generation = excluded.generation, digest = excluded.digest,
metadata = excluded.metadata, spec = excluded.spec, applied_at = excluded.applied_at;

-- name: put_history
-- Keep a generation.
INSERT INTO resource_history (kind, name, generation, spec, applied_at) VALUES (?, ?, ?, ?, ?);

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
