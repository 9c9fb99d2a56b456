-- The first shape of the store. Text ids; instants are float seconds of the control plane's clock.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('generation', '1'), ('next_id', '1');

CREATE TABLE resource (
  kind TEXT NOT NULL, name TEXT NOT NULL, generation INTEGER NOT NULL, digest TEXT NOT NULL,
  metadata TEXT NOT NULL, spec TEXT NOT NULL, applied_at REAL NOT NULL,
  PRIMARY KEY (kind, name)
) WITHOUT ROWID;

-- Old generations of workflows stay, because running migrations keep the one they started with.
CREATE TABLE resource_history (
  kind TEXT NOT NULL, name TEXT NOT NULL, generation INTEGER NOT NULL, spec TEXT NOT NULL, applied_at REAL NOT NULL,
  PRIMARY KEY (kind, name, generation)
) WITHOUT ROWID;

CREATE TABLE migration (
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, dataset TEXT NOT NULL, workflow TEXT NOT NULL,
  workflow_generation INTEGER NOT NULL, source TEXT NOT NULL, destination TEXT NOT NULL, priority INTEGER NOT NULL,
  state TEXT NOT NULL, reason TEXT NOT NULL, created_at REAL NOT NULL, ended_at REAL
) WITHOUT ROWID;
CREATE INDEX migration_open ON migration (id) WHERE state IN ('running', 'cancelling', 'rolling_back');

CREATE TABLE step (
  id TEXT PRIMARY KEY, migration_id TEXT NOT NULL, ordinal INTEGER NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL,
  placement_class TEXT NOT NULL, priority INTEGER NOT NULL, state TEXT NOT NULL, direction TEXT NOT NULL,
  ready_at REAL NOT NULL, queue_deadline_at REAL, attempts INTEGER NOT NULL, failures INTEGER NOT NULL,
  attempts_max INTEGER NOT NULL, target TEXT NOT NULL, fenced INTEGER NOT NULL, pivot INTEGER NOT NULL,
  compensatable INTEGER NOT NULL, touched INTEGER NOT NULL, queue_s REAL NOT NULL, start_to_finish_s REAL NOT NULL,
  progress_s REAL NOT NULL, backoff_initial_s REAL NOT NULL, backoff_factor REAL NOT NULL,
  backoff_max_s REAL NOT NULL, reason_code TEXT NOT NULL, reason TEXT NOT NULL, hint TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX step_queue ON step (placement_class, priority DESC, ready_at, id) WHERE state = 'ready';
CREATE INDEX step_by_migration ON step (migration_id, ordinal);
CREATE INDEX step_blocked ON step (migration_id) WHERE state = 'blocked';
CREATE INDEX step_moving ON step (migration_id) WHERE state IN ('ready', 'leased');
CREATE INDEX step_deadline ON step (queue_deadline_at) WHERE state = 'ready';

-- Parameters and results apart from the hot row: they are large and read once.
CREATE TABLE step_body (step_id TEXT PRIMARY KEY, template TEXT NOT NULL, params BLOB, result BLOB) WITHOUT ROWID;

CREATE TABLE need (needs_id TEXT NOT NULL, step_id TEXT NOT NULL, PRIMARY KEY (needs_id, step_id)) WITHOUT ROWID;
CREATE INDEX need_by_step ON need (step_id);

CREATE TABLE attempt (
  id TEXT PRIMARY KEY, step_id TEXT NOT NULL, migration_id TEXT NOT NULL, number INTEGER NOT NULL,
  direction TEXT NOT NULL, agent_id TEXT NOT NULL, incarnation INTEGER NOT NULL, fence INTEGER NOT NULL,
  target TEXT NOT NULL, state TEXT NOT NULL, granted_at REAL NOT NULL, expires_at REAL NOT NULL, ended_at REAL,
  started_at REAL, moved_at REAL, watermark INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0,
  done_bytes INTEGER NOT NULL DEFAULT 0, stage TEXT NOT NULL DEFAULT '', failure TEXT, use TEXT
) WITHOUT ROWID;
-- Promise L2 as schema: one live lease per step, one live writer per target.
CREATE UNIQUE INDEX attempt_live_step ON attempt (step_id) WHERE state = 'running';
CREATE UNIQUE INDEX attempt_live_target ON attempt (target) WHERE state = 'running';
CREATE INDEX attempt_live_agent ON attempt (agent_id) WHERE state = 'running';
CREATE INDEX attempt_by_step ON attempt (step_id, number);
-- Attempts whose processes nobody saw end: a successor on the target evicts them.
CREATE INDEX attempt_unconfirmed ON attempt (target) WHERE state IN ('lost', 'cancelled');

CREATE TABLE target (name TEXT PRIMARY KEY, fence INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE placement_class (id TEXT PRIMARY KEY, requirements TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE agent (
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, state TEXT NOT NULL, liveness TEXT NOT NULL,
  liveness_cause TEXT NOT NULL, incarnation INTEGER NOT NULL, slots INTEGER NOT NULL, kinds TEXT NOT NULL,
  datastores TEXT NOT NULL, labels TEXT NOT NULL, boot_id TEXT NOT NULL, version TEXT NOT NULL,
  drain_reason TEXT NOT NULL, heard_at REAL NOT NULL, joined_at REAL NOT NULL, sample TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;

CREATE TABLE certificate (
  serial TEXT PRIMARY KEY, agent_id TEXT NOT NULL, not_after REAL NOT NULL, revoked_at REAL
) WITHOUT ROWID;

-- Only hashes: a stolen database gives nobody a way in.
CREATE TABLE join_token (
  hash TEXT PRIMARY KEY, agent_name TEXT NOT NULL, expires_at REAL NOT NULL,
  used_request_id TEXT NOT NULL, used_key_fingerprint TEXT NOT NULL, used_agent_name TEXT NOT NULL, answer BLOB
) WITHOUT ROWID;
CREATE TABLE operator_token (
  hash TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, expires_at REAL NOT NULL, created_at REAL NOT NULL
) WITHOUT ROWID;

-- Answers to requests that carry a request_id, so that a repeat after a lost reply changes nothing (promise L6).
CREATE TABLE request (id TEXT PRIMARY KEY, method TEXT NOT NULL, answer TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;

CREATE TABLE event (
  position INTEGER PRIMARY KEY, at REAL NOT NULL, type TEXT NOT NULL, subject TEXT NOT NULL, migration_id TEXT,
  attempt_id TEXT, agent_id TEXT, fence INTEGER, detail TEXT NOT NULL
);
CREATE INDEX event_by_migration ON event (migration_id, position) WHERE migration_id IS NOT NULL;
CREATE INDEX event_by_subject ON event (subject, position) WHERE migration_id IS NULL;
CREATE TRIGGER event_append_only BEFORE UPDATE ON event BEGIN SELECT raise(ABORT, 'the event log is append-only'); END;
CREATE TRIGGER event_kept BEFORE DELETE ON event BEGIN SELECT raise(ABORT, 'the event log is append-only'); END;
