"""How long a writer waits for others, unless the Datastore says otherwise."""

LOCK_WAIT_S = 900.0
