-- Identities: certificates can be counted, revoked and told apart by their authority; boots of hosts are remembered.

ALTER TABLE certificate ADD COLUMN authority TEXT NOT NULL DEFAULT '';
ALTER TABLE certificate ADD COLUMN issued_at REAL NOT NULL DEFAULT 0;
ALTER TABLE certificate ADD COLUMN seen_at REAL;
CREATE INDEX certificate_by_agent ON certificate (agent_id, issued_at);
CREATE INDEX certificate_revoked ON certificate (not_after) WHERE revoked_at IS NOT NULL;

CREATE TABLE former_boot (
  agent_id TEXT NOT NULL, boot_id TEXT NOT NULL, left_at REAL NOT NULL, PRIMARY KEY (agent_id, boot_id)
) WITHOUT ROWID;
