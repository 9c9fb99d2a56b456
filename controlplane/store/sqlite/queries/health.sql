-- name: prove_writable
-- A write that changes nothing but itself.
INSERT INTO meta (key, value) VALUES ('proved_writable_at', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value;

-- name: count_migrations
-- Migrations by state, and by whether an attempt at one of their steps runs; of each name the newest iteration.
SELECT m.state, w.migration_id IS NOT NULL AS working, count(*) FROM migration m
LEFT JOIN (SELECT DISTINCT migration_id FROM attempt WHERE state = 'running') w ON w.migration_id = m.id
WHERE m.iteration = (SELECT max(o.iteration) FROM migration o WHERE o.name = m.name) GROUP BY 1, 2;

-- name: count_steps
-- Steps by state.
SELECT state, count(*) FROM step GROUP BY state;

-- name: count_agents
-- Agents by liveness.
SELECT liveness, count(*) FROM agent WHERE state <> 'gone' GROUP BY liveness;
