-- The Merkle tree over the event log. A tile holds up to 256 hashes of 32 bytes: leaf hashes at level 0, roots of full
-- tiles of the level below above it. Only the newest head is kept: it covers every tile.
CREATE TABLE audit_tile (level INTEGER NOT NULL, number INTEGER NOT NULL, hashes BLOB NOT NULL, PRIMARY KEY (level, number));
CREATE TABLE audit_head (
  one INTEGER PRIMARY KEY CHECK (one = 1), era INTEGER NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL,
  signature BLOB NOT NULL, key_id TEXT NOT NULL
);
-- One row for each restore: where the log went on from then, signed.
CREATE TABLE audit_era (
  era INTEGER PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, generation INTEGER NOT NULL, reason TEXT NOT NULL,
  signature BLOB NOT NULL, public_key BLOB NOT NULL, begun_at REAL NOT NULL
);
