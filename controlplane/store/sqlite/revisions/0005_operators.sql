-- Operators: tokens found by an id that is no secret, kept as slow hashes, over everything or over owners' data; approvals.

CREATE TABLE operator (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, owners TEXT NOT NULL, verifier TEXT NOT NULL,
  expires_at REAL NOT NULL, created_at REAL NOT NULL, created_by TEXT NOT NULL, revoked_at REAL
) WITHOUT ROWID;
-- Tokens of before carry no id: the beginning of their hash is one. They go on until they end.
INSERT INTO operator SELECT substr(hash, 1, 16), name, role, '[]', 'sha256:' || hash, expires_at, created_at, '', NULL
FROM operator_token;
DROP TABLE operator_token;

CREATE TABLE approval (
  id TEXT PRIMARY KEY, method TEXT NOT NULL, digest TEXT NOT NULL, summary TEXT NOT NULL, asked_by TEXT NOT NULL,
  asked_at REAL NOT NULL, expires_at REAL NOT NULL, state TEXT NOT NULL, decided_by TEXT NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX approval_by_digest ON approval (digest) WHERE state IN ('pending', 'approved');
CREATE INDEX approval_by_time ON approval (asked_at);
