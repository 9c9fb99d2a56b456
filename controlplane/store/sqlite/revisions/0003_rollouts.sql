-- Hosts as far as releases and placement look at them, what their steps came to day by day, and rollouts.

ALTER TABLE agent ADD COLUMN cordon_reason TEXT NOT NULL DEFAULT '';

-- JSON: what the host is, what it runs, the labels that it has of itself, and those that an operator put over them.
CREATE TABLE host (
  agent_id TEXT PRIMARY KEY, facts TEXT NOT NULL DEFAULT '[]', running TEXT NOT NULL DEFAULT '[]',
  own_labels TEXT NOT NULL DEFAULT '{}', labels TEXT NOT NULL DEFAULT '{}'
) WITHOUT ROWID;

-- Steps that ended on a host in a day (UTC, days since 1970): the past that a new release is compared with.
CREATE TABLE host_day (
  agent_id TEXT NOT NULL, day INTEGER NOT NULL, ended INTEGER NOT NULL, failed INTEGER NOT NULL,
  timed INTEGER NOT NULL, log_sum REAL NOT NULL, log_square_sum REAL NOT NULL, PRIMARY KEY (agent_id, day)
) WITHOUT ROWID;

CREATE TABLE rollout (
  id TEXT PRIMARY KEY, fleet TEXT NOT NULL, version TEXT NOT NULL, artefacts TEXT NOT NULL, policy TEXT NOT NULL,
  state TEXT NOT NULL, revision INTEGER NOT NULL, wave INTEGER NOT NULL, calm_s REAL NOT NULL,
  wave_calm_s REAL NOT NULL, soak_calm_s REAL, forgiven INTEGER NOT NULL, halt_code TEXT NOT NULL,
  halt_cause TEXT NOT NULL, halted_wave INTEGER, created_at REAL NOT NULL, ended_at REAL,
  created_by TEXT NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX rollout_by_fleet ON rollout (fleet, created_at);

CREATE TABLE rollout_host (
  rollout_id TEXT NOT NULL, agent_id TEXT NOT NULL, wave INTEGER NOT NULL, groups TEXT NOT NULL, state TEXT NOT NULL,
  asked_at REAL, since_calm_s REAL NOT NULL, away_calm_s REAL, from_version TEXT NOT NULL, from_digest TEXT NOT NULL,
  incarnation INTEGER NOT NULL, cause_code TEXT NOT NULL, cause TEXT NOT NULL,
  past_ended INTEGER NOT NULL, past_failed INTEGER NOT NULL, past_timed INTEGER NOT NULL, past_log_sum REAL NOT NULL,
  past_log_square_sum REAL NOT NULL, after_ended INTEGER NOT NULL, after_failed INTEGER NOT NULL,
  after_timed INTEGER NOT NULL, after_log_sum REAL NOT NULL, after_log_square_sum REAL NOT NULL,
  PRIMARY KEY (rollout_id, agent_id)
) WITHOUT ROWID;
CREATE INDEX rollout_host_counted ON rollout_host (agent_id) WHERE state IN ('probation', 'kept');
