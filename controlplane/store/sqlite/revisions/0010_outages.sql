-- Tries that found what they need unreachable count by time; those that were lost are counted apart from failures.
ALTER TABLE step ADD COLUMN unreachable_for_s REAL NOT NULL DEFAULT 900;
ALTER TABLE step ADD COLUMN unreachable_since REAL;
ALTER TABLE step ADD COLUMN losses INTEGER NOT NULL DEFAULT 0;
