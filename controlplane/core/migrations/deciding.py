"""Ends that a person decides, or that another migration brings about: accepted, abandoned, superseded."""

from controlplane.core.changes import Changes, MoveMigration
from controlplane.core.events import Event, asked_by
from controlplane.core.model import Migration
from controlplane.core.states import MIGRATION_ASKS_A_PERSON, migration_after
from controlplane.core.steps.leasing import Refused

ACCEPT, ABANDON = "MigrationAccepted", "MigrationAbandoned"
_VERBS = {ACCEPT: "accepted", ABANDON: "abandoned"}


def decide(migration: Migration, event: str, reason: str, now: float, by: str = "") -> Changes | Refused:
    """End a failed or stuck migration as it is: ``event`` is ``ACCEPT`` or ``ABANDON``. Nothing is undone.

    Refused for any other state: what moves is cancelled first, and what has ended has its end.
    """
    if migration.state not in MIGRATION_ASKS_A_PERSON:
        return Refused(
            f"the migration is {migration.state}: only a failed or stuck one can be {_VERBS[event]}; "
            "one that still moves is cancelled first"
        )
    said = asked_by(by, reason)
    return _end(migration, event, said, now)


def supersede(migration: Migration, name: str, now: float) -> Changes:
    """End a failed or stuck migration over which the migration ``name`` has published."""
    return _end(migration, "MigrationSuperseded", f"superseded by {name}", now)


def _end(migration: Migration, event: str, reason: str, now: float) -> Changes:
    changes = Changes()
    to_state = migration_after(migration.state, event, migration.id)
    changes.migration_moves.append(MoveMigration(migration.id, migration.state, to_state, reason, now))
    changes.events.append(Event(now, event, migration.id, migration.id, detail=reason))
    return changes
