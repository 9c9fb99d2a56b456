-- An approval binds a resolved list: how it was asked for, why, and each name with what it was, as JSON. Empty where it
-- binds a request as it is.
ALTER TABLE approval ADD COLUMN plan TEXT NOT NULL DEFAULT '';
