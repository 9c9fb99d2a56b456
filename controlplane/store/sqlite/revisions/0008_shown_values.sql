-- Steps whose result holds values of rows, and until when: only where the Dataset says so, and never for ever.
CREATE TABLE shown_values (step_id TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX shown_values_until ON shown_values (until);
